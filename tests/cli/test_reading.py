"""What the commands print and how they end."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

from sidecar.core.account import FileClass
from sidecar.core.model import State
from sidecar.core.removal import RemovalState
from tests.status.conftest import Served
from tests.status.fake import (
    FakeCandidate,
    FakeExample,
    FakeFinding,
    FakeRoot,
    FakeUpload,
    removal,
    transfer,
)
from tests.support.patience import DEADLINE_SECONDS

from .conftest import sidecar

VIDEO = "p/s/intro/video/1.mp4"
HOSTILE = "bad\n\x1b]0;owned\x07[red]\udcff.mp4"


async def test_status_is_plain_where_nobody_looks(served: Served) -> None:
    """State, reasons, backlog, uploads, what is not sent; hostile names stay names."""
    source = served.source
    source.other_troubles = ["Convex has not registered this journal yet"]
    source.journal.rows = [transfer(1, VIDEO, State.READY)]
    source.in_flight = [FakeUpload("01T", f"/renders/{VIDEO}", 100, 40)]
    source.watch.watched = [FakeRoot(examples=[FakeExample(HOSTILE, "refused", "it is a FIFO")])]
    ran = await sidecar("status", "--url", served.url)
    assert (ran.status, ran.err) == (0, "")
    for text in (
        "degraded",
        "Convex has not registered",
        "1 file, 1.0 MiB",
        "40% of 100 B",
        "it is a FIFO",
        "[red]",
    ):
        assert text in ran.out
    assert all(char.isprintable() for char in ran.out.replace("\n", ""))


async def test_status_counts_the_files_that_it_does_not_name(served: Served) -> None:
    """Of 30 torn films it names 20, of 24 unsent files four: the numbers are those of the files."""
    watch = served.source.watch
    watch.candidates = [FakeCandidate(f"p/s/intro/video/{n}.mp4", "it is torn") for n in range(30)]
    named = [FakeExample(f"p/{n}.x", "unmatched", "no rule matches it") for n in range(2)]
    watch.watched = [
        FakeRoot(root=root, examples=named, unnamed={FileClass.UNMATCHED: 7, FileClass.HELD: 3})
        for root in ("/renders", "/more")
    ]
    _, pending, _, unsent = (await sidecar("status", "--url", served.url)).out.split("\n\n")
    assert (pending.count(".mp4"), pending.splitlines()[-1]) == (20, "  ... and 10 more")
    assert (unsent.count(".x"), unsent.splitlines()[-1]) == (4, "  ... and 20 more")


async def test_status_tells_of_a_log_that_cannot_be_written(served: Served) -> None:
    """It is no trouble of the delivery: here it stands, and in the metrics."""
    served.source.dropped_lines, served.source.log_trouble = 3, "Broken pipe"
    ran = await sidecar("status", "--url", served.url)
    assert "3 lines dropped; it cannot be written: Broken pipe" in ran.out
    assert "degraded" not in ran.out
    assert "sidecar_log_lines_dropped_total 3.0" in (await served.get("/metrics")).text


async def test_status_json_is_the_reply(served: Served) -> None:
    """For scripts."""
    ran = await sidecar("status", "--json", "--url", served.url)
    assert ran.json()["state"] == "ok"


async def test_status_watch_goes_on(served: Served) -> None:
    """As JSON, one reply a line."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-u", "-m", "sidecar", "status", "--watch", "--json", "--url", served.url),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    async with asyncio.timeout(DEADLINE_SECONDS):
        first, second = (
            json.loads(await process.stdout.readline()),
            json.loads(await process.stdout.readline()),
        )
    process.kill()
    await process.communicate()
    assert first["sidecar_id"] == second["sidecar_id"] == "sidecar-1"


async def test_status_watch_survives_a_restart(served: Served) -> None:
    """It says once that it waits, and goes on with the next daemon; nobody at first is a wrong address."""
    answering = True

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        if answering:
            upstream, into = await asyncio.open_connection("127.0.0.1", served.port)
            into.write(request)
            writer.write(await upstream.read())
            into.close()
        writer.close()

    server = await asyncio.start_server(proxy, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-u", "-m", "sidecar", "status", "--watch", "--json", "--url", url),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    async with asyncio.timeout(DEADLINE_SECONDS), server:
        assert json.loads(await process.stdout.readline())["state"] == "ok"
        answering = False
        assert b"hung up" in (told := await process.stderr.readline())
        assert told.endswith(b"; waiting for it\n")
        answering = True
        assert json.loads(await process.stdout.readline())["state"] == "ok"
    process.kill()
    assert b"Traceback" not in (await process.communicate())[1]
    nobody = await sidecar("status", "--watch", "--url", url)
    assert (nobody.status, "no sidecar answers" in nobody.err) == (1, True)


async def test_explain_takes_any_name(served: Served) -> None:
    """Bytes that are not UTF-8, spaces, percent signs, plus signs, question marks."""
    for name in (b"a\xff b%2F+?&#.mp4", "жизнь 🎬.mp4".encode()):
        served.source.watch.findings[os.fsdecode(name)] = FakeFinding("unmatched", "no rule matches it")
        ran = await sidecar("explain", b"/renders/" + name, "--url", served.url)
        assert ran.status == 0
        assert "Not sent (unmatched): no rule matches it" in ran.out


async def test_explain_shows_history_and_hint(served: Served) -> None:
    """As lines and as JSON; a file of this folder by its relative name."""
    served.source.watch.findings[VIDEO] = FakeFinding("matched", "a regular file")
    served.source.journal.rows = [
        transfer(1, VIDEO, State.DEAD, error_kind="quota", error_message="full", failures=3)
    ]
    served.source.journal.events[1] = [(1_760_000_000_000, "exhausted", "full")]
    ran = await sidecar("explain", VIDEO, "--url", served.url)
    assert "A dead letter, given up after 3 attempts: quota: full" in ran.out
    assert "hint: make room" in ran.out
    assert "exhausted: full" in ran.out
    reply = await sidecar("explain", VIDEO, "--json", "--url", served.url)
    assert reply.json()["state"] == "dead"


async def test_wait_ends_with_what_became_of_it(served: Served) -> None:
    """0 synced, 1 failed, 75 the time is over."""
    assert (await sidecar("wait", "--timeout", "5s", "--url", served.url)).status == 0
    served.source.watch.candidates = [FakeCandidate(VIDEO, "a process writes it")]
    late = await sidecar("wait", "--timeout", "100ms", "--url", served.url)
    assert (late.status, "a process writes it" in late.out) == (75, True)
    served.source.watch.candidates = []
    served.source.watch.findings["notes.txt"] = FakeFinding("unmatched", "no rule matches it")
    failed = await sidecar("wait", "/renders/notes.txt", "--json", "--url", served.url)
    assert (failed.status, failed.json()["result"]) == (1, "failed")
    assert (await sidecar("wait", "--timeout", "soon", "--url", served.url)).status == 2


async def test_wait_outlives_a_restart_of_the_daemon(served: Served) -> None:
    """A connection that breaks is asked again; the new daemon's scan answers."""
    tries = 0

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal tries
        tries += 1
        request = await reader.readuntil(b"\r\n\r\n")
        if tries > 1:
            upstream, into = await asyncio.open_connection("127.0.0.1", served.port)
            into.write(request)
            writer.write(await upstream.read())
            into.close()
        writer.close()

    server = await asyncio.start_server(proxy, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        ran = await sidecar("wait", "--timeout", "20s", "--url", f"http://127.0.0.1:{port}")
    assert (ran.status, tries) == (0, 2)


async def test_dead_letters_are_listed_with_what_to_do(served: Served) -> None:
    """And none is said plainly."""
    assert "no dead letters" in (await sidecar("dead-letters", "list", "--url", served.url)).out
    served.source.journal.rows = [
        transfer(n, f"p/{n}.mp4", State.DEAD, error_kind="quota", error_message="full") for n in (1, 2)
    ]
    ran = await sidecar("dead-letters", "list", "--limit", "1", "--url", served.url)
    assert "/renders/p/1.mp4  quota  full" in ran.out
    assert "--after 1" in ran.out
    more = await sidecar("dead-letters", "list", "--after", "1", "--json", "--url", served.url)
    assert [one["path"] for one in more.json()["assets"]] == ["/renders/p/2.mp4"]


async def test_removals_are_listed_and_decided(served: Served) -> None:
    """By the socket; with words for people, and as JSON."""
    by_socket = {"SIDECAR_STATUS__SOCKET": str(served.socket_path)}
    empty = await sidecar("removal", "list", "--url", served.url)
    assert (empty.status, empty.out) == (0, "No file is gone that Convex still shows.\n")
    served.source.journal.gone = [removal(transfer(1, VIDEO, State.SYNCED), RemovalState.ASKED)]
    listed = await sidecar("removal", "list", "--url", served.url)
    assert all(word in listed.out for word in (f"/renders/{VIDEO}", "asked", "asset and object"))
    assert (await sidecar("removal", "list", "--json", "--url", served.url)).json()["next"] is None
    ran = await sidecar("removal", "confirm", "/renders/p", **by_socket)
    assert (ran.status, ran.out) == (0, "2 assets will be removed.\n")
    ran = await sidecar("removal", "dismiss", "--all", "--json", **by_socket)
    assert ran.json() == {"decided": 2}
    assert served.source.decisions == [(True, "/renders", "p"), (False, None, "")]
    nothing = await sidecar("removal", "confirm", **by_socket)
    assert (nothing.status, "no files are named" in nothing.err) == (1, True)


async def test_requeue_goes_by_the_socket_or_with_the_token(served: Served, tmp_path: Path) -> None:
    """Without either it says what is missing."""
    refused = await sidecar("dead-letters", "requeue", "--all", "--url", served.url)
    assert refused.status == 1
    assert "needs the unix socket or the token" in refused.err
    by_socket = {"SIDECAR_STATUS__SOCKET": str(served.socket_path)}
    ran = await sidecar("dead-letters", "requeue", "--error-kind", "quota", **by_socket)
    assert (ran.status, ran.out) == (0, "1 requeued.\n")
    by_token = {"SIDECAR_STATUS__TOKEN_FILE": str(served.token_file)}
    ran = await sidecar("dead-letters", "requeue", "--path", VIDEO, "--json", "--url", served.url, **by_token)
    assert ran.json() == {"requeued": 1}
    ran = await sidecar("dead-letters", "requeue", "--all", "--url", f"unix:{served.socket_path}")
    assert ran.status == 0
    assert served.source.requeues == [
        (None, None, "quota"),
        (None, f"/renders/{VIDEO}", None),
        (None, None, None),
    ]
    nothing = await sidecar("dead-letters", "requeue", **by_socket)
    assert (nothing.status, "no dead letters are named" in nothing.err) == (1, True)
    missing = await sidecar("dead-letters", "requeue", "--all", "--token-file", str(tmp_path / "none"))
    assert (missing.status, "cannot be read" in missing.err) == (1, True)


async def test_a_relative_path_is_one_from_here_or_one_below_a_root(served: Served, tmp_path: Path) -> None:
    """Also where the file is gone meanwhile: whichever of the two the daemon knows."""
    here = tmp_path / "root" / "p" / "s"
    here.mkdir(parents=True)
    served.source.watch.watched = [FakeRoot("/renders"), FakeRoot(str(tmp_path / "root"))]
    rows = [transfer(1, "p/s/gone.mp4", State.SYNCED, root=str(tmp_path / "root"))]
    served.source.journal.rows = [*rows, transfer(2, VIDEO, State.SYNCED)]
    for path, meant in (
        ("gone.mp4", here / "gone.mp4"),
        ("../s/gone.mp4", here / "gone.mp4"),
        (VIDEO, Path("/renders") / VIDEO),
        ("unknown.mp4", here / "unknown.mp4"),
    ):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "sidecar", "explain", path, "--json", "--url", served.url),
            cwd=here,
            stdout=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(DEADLINE_SECONDS):
            out, _ = await process.communicate()
        assert json.loads(out)["path"] == str(meant)

"""What ``dev`` says while it watches."""

from __future__ import annotations

import asyncio
import io
import json
from dataclasses import dataclass, replace

import pytest
from rich.console import Console

from sidecar.core.model import State
from sidecar.core.text import cells
from sidecar.local import arrivals as arrivals_module
from sidecar.local.arrivals import Arrivals
from sidecar.local.child import ServerError
from sidecar.local.feed import Feed
from tests.status.conftest import Served, served
from tests.status.fake import NOW_MS, FakeExample, FakeRoot, FakeUpload, transfer

__all__ = ["served"]
LONG = "algebra/complex-numbers-and-more/01-introduction/video/a-chunk-with-a-long-name-001.mp4"


async def test_everything_that_arrives_is_said_once(served: Served) -> None:
    """Whatever overtakes it, and also where nothing was open at the last look."""
    journal = served.source.journal
    arrivals = Arrivals(url=served.url)
    journal.rows = [transfer(1, "p/a.mp4", State.READY), transfer(2, "p/b.mp4", State.SYNCED)]
    assert [row["id"] for row in (await arrivals.look()).synced] == [2]
    journal.rows = [replace(journal.rows[0], state=State.SYNCED), journal.rows[1]]
    assert [row["id"] for row in (await arrivals.look()).synced] == [1]
    journal.rows += [transfer(3, "p/c.mp4", State.DISCOVERED), transfer(4, "p/d.mp4", State.SYNCED)]
    assert [row["id"] for row in (await arrivals.look()).synced] == [4]
    journal.rows = [*journal.rows[:2], replace(journal.rows[2], state=State.SYNCED), journal.rows[3]]
    assert [row["id"] for row in (await arrivals.look()).synced] == [3]
    assert (await arrivals.look()).synced == []


async def test_what_arrives_between_two_looks_is_said_however_it_went_on(served: Served) -> None:
    """Overtaken by newer content, deleted, or brought back to work after it had been given up."""
    journal = served.source.journal
    arrivals = Arrivals(url=served.url)
    given_up = [transfer(1, "p/a.mp4", State.DEAD), transfer(2, "p/b.mp4", State.ABANDONED)]
    journal.rows = [*given_up, transfer(3, "p/c.mp4", State.SYNCED), transfer(4, "p/d.mp4", State.GONE)]
    assert [row["id"] for row in (await arrivals.look()).synced] == [3]
    journal.rows += [transfer(n, "p/e.mp4", State.SUPERSEDED, synced_ms=NOW_MS) for n in (5, 6)]
    journal.rows += [transfer(7, "p/f.mp4", State.GONE, synced_ms=NOW_MS), transfer(8, "p/g", State.GONE)]
    assert [row["id"] for row in (await arrivals.look()).synced] == [5, 6, 7]
    for at in (1, 0):
        journal.rows[at] = replace(journal.rows[at], state=State.SYNCED)
        assert [row["id"] for row in (await arrivals.look()).synced] == [at + 1]
    assert (await arrivals.look()).synced == []


async def test_a_look_that_fails_anywhere_loses_and_doubles_nothing(served: Served) -> None:
    """Whichever of its answers is cut off, and while the daemon is away: the next look tells all of it."""
    journal, line = served.source.journal, Line(served.port)
    failed, row = 0, 0
    async with await asyncio.start_server(line.carry, "127.0.0.1", 0) as server:
        arrivals = Arrivals(url=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        for cut in range(1, 10):
            row += 2
            journal.rows += [
                transfer(row - 1, "p/a.mp4", State.SYNCED),
                transfer(row, "p/x", State.DEAD, error_kind="quota", error_message="full"),
            ]
            line.left = cut
            try:
                look = await arrivals.look()
            except ServerError:
                failed += 1
                line.left = 99
                look = await arrivals.look()
            assert [one["id"] for one in look.synced] == [row - 1]
            assert len(look.not_sent) == (1 if cut == 1 else 0), "of one path it is said once"
    assert failed == 4, "each answer of a look was cut off once"


async def test_an_answer_of_another_kind_is_a_look_that_fails(served: Served) -> None:
    """A daemon in trouble says 500: no end of the feed."""
    remotes, served.source.remotes = served.source.remotes, None  # type: ignore[assignment]
    arrivals = Arrivals(url=served.url)
    served.source.journal.rows = [transfer(1, "p/a.mp4", State.SYNCED)]
    with pytest.raises(ServerError, match="500"):
        await arrivals.look()
    served.source.remotes = remotes
    assert [row["id"] for row in (await arrivals.look()).synced] == [1]


@dataclass
class Line:
    """A way to the endpoint that carries so many answers, and then cuts each in the middle."""

    port: int
    left: int = 99

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one request there and its answer back."""
        upstream, into = await asyncio.open_connection("127.0.0.1", self.port)
        into.write(await reader.readuntil(b"\r\n\r\n"))
        answer = await upstream.read()
        self.left -= 1
        writer.write(answer if self.left > 0 else answer[:-1])
        into.close()
        writer.close()


async def test_every_page_of_a_long_list_is_read(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Arrivals and dead letters beyond the first page are said too."""
    monkeypatch.setattr(arrivals_module, "PAGE", 2)
    journal = served.source.journal
    journal.rows = [transfer(n, f"p/{n}.mp4", State.SYNCED) for n in range(1, 6)]
    journal.rows += [
        transfer(n, f"p/{n}.mp4", State.DEAD, error_kind="quota", error_message="full") for n in range(6, 11)
    ]
    look = await Arrivals(url=served.url).look()
    assert (len(look.synced), len(look.not_sent)) == (5, 5)


async def test_what_is_not_sent_is_said_once_until_it_is_so_again(served: Served) -> None:
    """Unmatched and refused files, and dead letters."""
    arrivals = Arrivals(url=served.url)
    roots = [FakeRoot(examples=[FakeExample("p/x.mp4", "unmatched", "no rule matches it")])]
    served.source.watch.watched = roots
    served.source.journal.rows = [
        transfer(1, "p/a.mp4", State.DEAD, error_kind="quota", error_message="full", failures=3)
    ]
    new = (await arrivals.look()).not_sent
    assert [(one["path"], one["finding"]) for one in new] == [
        ("/renders/p/x.mp4", "unmatched"),
        ("/renders/p/a.mp4", "dead"),
    ]
    assert (await arrivals.look()).not_sent == []
    served.source.watch.watched = [FakeRoot()]
    await arrivals.look()
    served.source.watch.watched = roots
    assert len((await arrivals.look()).not_sent) == 1


async def test_the_screen_of_dev_is_whole_at_80_columns(served: Served) -> None:
    """Names are shortened in the middle, what is under way has a speed, and the rest is counted."""
    written = io.StringIO()
    console = Console(file=written, force_terminal=True, width=80, height=24, color_system=None)
    source = served.source
    source.journal.rows = [transfer(n, LONG, State.SYNCED) for n in range(1, 4)]
    source.journal.rows += [transfer(n, LONG, State.READY) for n in range(4, 24)]
    source.in_flight = [FakeUpload(f"T{n}", f"/renders/{LONG}", 1000 + n, 40) for n in range(20)]
    with Feed(console, root="/renders", url_of=lambda key: f"http://s3/{key}", as_json=False) as feed:
        feed.show(await Arrivals(url=served.url).look())
        text = written.getvalue()
    lines = [line for line in text.splitlines() if "http://" not in line]
    assert (
        max(cells("".join(char for char in line if char.isprintable())) for line in lines) <= 90
    )  # and escapes
    assert all(words in text for words in ("synced", "20 files on the way", "... and 12 more", "4% of"))
    assert "a-chunk-with-a-long-name-001.mp4" in text


async def test_json_is_one_object_a_line(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    """For scripts: what arrived with its address, and what is not sent."""
    served.source.journal.rows = [transfer(1, "p/a.mp4", State.SYNCED)]
    served.source.watch.watched = [FakeRoot(examples=[FakeExample("p/x", "refused", "a FIFO")])]
    with Feed(
        Console(stderr=True), root="/renders", url_of=lambda key: f"http://s3/{key}", as_json=True
    ) as feed:
        feed.show(await Arrivals(url=served.url).look())
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(one["event"], one["path"]) for one in told] == [
        ("synced", "/renders/p/a.mp4"),
        ("not_sent", "/renders/p/x"),
    ]
    assert told[0]["url"].startswith("http://s3/")

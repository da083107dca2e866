"""When `wait` answers, and what."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from sidecar.core.model import State, Transfer
from tests.support.patience import DEADLINE_SECONDS

from .conftest import Get, Served
from .fake import FakeCandidate, FakeExample, FakeFinding, FakeSource, transfer

VIDEO = "p/s/intro/video/1.mp4"


def other_session(row: int, state: State) -> Transfer:
    """Return a transfer of session ``other``."""
    one = transfer(row, "other/intro/video/1.mp4", state)
    return replace(one, route=replace(one.route, slot=replace(one.route.slot, session_id="other")))


async def changes_to(source: FakeSource, change: Callable[[], None], *, scans: int = 1) -> None:
    """Apply a change once a wait has had its scan."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while source.watch.scans < scans:
            await asyncio.sleep(0.01)
    change()


async def test_wait_is_answered_from_a_scan_begun_after_the_request(served: Served, get: Get) -> None:
    """A file that only that scan finds is waited for."""

    def found() -> None:
        served.source.journal.rows = [transfer(1, VIDEO, State.DISCOVERED)]

    def arrived() -> None:
        served.source.journal.rows = [transfer(1, VIDEO, State.SYNCED)]

    served.source.watch.on_scan = found
    reply, _ = await asyncio.gather(get("/wait?timeout=10s"), changes_to(served.source, arrived))
    assert (reply["result"], reply["owed"], served.source.watch.scans) == ("synced", [], 1)


async def test_wait_names_what_is_still_owed_at_the_timeout(served: Served, get: Get) -> None:
    """Also files that are settling, open or incomplete, each with its reason."""
    served.source.journal.rows = [transfer(1, VIDEO, State.READY), transfer(2, "p/s/x.mp4", State.DISCOVERED)]
    served.source.watch.candidates = [
        FakeCandidate("p/s/x.mp4", "a process writes it"),
        FakeCandidate("p/s/y.mp4", "it settles"),
    ]
    reply = await get("/wait?timeout=100ms")
    assert reply["result"] == "timeout"
    assert {(one["path"], one["why"]) for one in reply["owed"]} == {
        (f"/renders/{VIDEO}", "complete, and waiting for its upload"),
        ("/renders/p/s/x.mp4", "a process writes it"),
        ("/renders/p/s/y.mp4", "it settles"),
    }
    assert reply["unfinished"] == {"ready": 1, "discovered": 1}


async def test_a_wait_does_not_gather_what_only_status_shows(served: Served, get: Get) -> None:
    """It looks many times a minute, and the reasons of examples are found by trying all rules."""
    served.source.journal.rows = [transfer(1, VIDEO, State.READY)]
    assert (await get("/wait?timeout=200ms"))["result"] == "timeout"
    assert (await get(f"/wait?path={VIDEO}&timeout=1ms"))["result"] == "timeout"
    assert served.source.watch.looks == 0


async def test_wait_fails_for_dead_letters_only_when_the_rest_is_through(served: Served, get: Get) -> None:
    """A renderer that ends the pod after `wait` must not cut off what still arrives."""
    dead = transfer(1, VIDEO, State.DEAD, error_kind="invalid", error_message="refused")
    other = transfer(2, "p/s/intro/video/2.mp4", State.UPLOADED)
    served.source.journal.rows = [dead, other]

    def arrived() -> None:
        served.source.journal.rows = [dead]

    reply, _ = await asyncio.gather(get("/wait?session=p/s&timeout=10s"), changes_to(served.source, arrived))
    assert reply["result"] == "failed"
    path = f"/renders/{VIDEO}"
    assert reply["failed"] == [{"path": path, "class": "dead", "state": "dead", "why": "invalid: refused"}]


async def test_wait_for_a_path_fails_for_what_is_never_sent(served: Served, get: Get) -> None:
    """Unmatched, refused, ignored, or not there."""
    findings = served.source.watch.findings
    findings["notes.txt"] = FakeFinding("unmatched", "no rule matches it")
    findings["link"] = FakeFinding("refused", "it is a symbolic link")
    for path, state in (("notes.txt", "unmatched"), ("link", "refused"), ("none.mp4", "unseen")):
        reply = await get(f"/wait?path=/renders/{path}&timeout=60")
        assert (reply["result"], reply["failed"][0]["state"]) == ("failed", state)


async def test_wait_for_a_folder_fails_for_refused_files_in_it_and_ignores_unmatched_ones(
    served: Served, get: Get
) -> None:
    """A file that no rule matches was never meant to be sent; a refused one was."""
    served.source.watch.findings |= {
        "p": FakeFinding("folder", "a folder"),
        "q": FakeFinding("folder", "one"),
    }
    served.source.watch.watched[0].examples = [
        FakeExample("p/link.mp4", "refused", "it is a symbolic link"),
        FakeExample("q/notes.txt", "unmatched", "no rule matches it"),
    ]
    assert (await get("/wait?path=/renders/p&timeout=60"))["result"] == "failed"
    assert (await get("/wait?path=/renders/q&timeout=60"))["result"] == "synced"


async def test_a_file_that_was_shipped_and_deleted_counts_as_synced(served: Served, get: Get) -> None:
    """Its transfer answers, not the disk."""
    served.source.journal.rows = [transfer(1, VIDEO, State.SYNCED)]
    assert (await get(f"/wait?path={VIDEO}&timeout=60"))["result"] == "synced"
    served.source.journal.rows = [transfer(1, VIDEO, State.GONE)]
    assert (await get(f"/wait?path={VIDEO}&timeout=60"))["result"] == "failed"


async def test_other_sessions_and_folders_do_not_hold_a_wait_up(served: Served, get: Get) -> None:
    """Only what is named is waited for."""
    served.source.journal.rows = [transfer(1, VIDEO, State.READY), other_session(2, State.SYNCED)]
    served.source.watch.findings["p/s/outro"] = FakeFinding("folder", "a folder")
    served.source.watch.candidates = [FakeCandidate(VIDEO, "open")]
    assert (await get("/wait?session=other&timeout=60"))["result"] == "synced"
    assert (await get("/wait?path=p/s/outro&timeout=60"))["result"] == "synced"


async def test_without_convex_the_upload_is_the_end(served: Served, get: Get) -> None:
    """`convex.sync: off`: status says so, and wait does not wait for it."""
    del served.source.remotes["convex"]
    served.source.journal.rows = [transfer(1, VIDEO, State.UPLOADED)]
    assert (await get("/status"))["convex"] == {"breaker": "off", "last_error": None}
    assert (await get("/wait?timeout=60"))["result"] == "synced"
    assert "waiting" not in str(await get(f"/explain?path={VIDEO}"))


async def test_a_wait_that_times_out_counts_what_has_failed_as_well(served: Served, get: Get) -> None:
    """Waiting longer is not all that is to be done."""
    served.source.journal.rows = [transfer(1, VIDEO, State.READY), other_session(2, State.DEAD)]
    reply = await get("/wait?timeout=1s")
    assert reply["result"] == "timeout"
    assert reply["verdict"] == "1 file still not synced, and 1 will not be delivered without help."


async def test_a_scan_that_hangs_does_not_outlast_the_timeout(served: Served, get: Get) -> None:
    """The answer is a timeout that says that nothing was looked at."""
    never = asyncio.Event()

    async def hang() -> None:
        await never.wait()

    served.source.watch.scan_now = hang  # type: ignore[method-assign]  # a disk that does not answer
    reply = await get("/wait?timeout=50ms")
    assert reply["result"] == "timeout"
    assert "scan" in reply["owed"][0]["why"]


async def test_wait_outside_all_roots_is_a_mistake(served: Served) -> None:
    """It would never come true."""
    reply = await served.get("/wait?path=/etc/passwd")
    assert (reply.status_code, "none of the roots" in reply.json()["error"]) == (400, True)

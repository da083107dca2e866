"""What `wait` answers for each class of file: made from the account's table."""

from __future__ import annotations

import asyncio

import pytest

from sidecar.core.account import FileClass, Unmatched, Waiting, row_of
from sidecar.core.model import State
from sidecar.status.api import WAIT_STATUS
from sidecar.watch.root import AwayKind

from .conftest import Get, Served
from .fake import FakeAway, FakeCandidate, FakeExample, FakeSource, transfer

VIDEO = "p/s/intro/video/1.mp4"
RESULTS = {
    Waiting.PASSES: "synced",
    Waiting.WAITS: "timeout",
    Waiting.FAILS: "failed",
    Waiting.IGNORES: "synced",
}
STATES = {
    FileClass.DELIVERED: State.SYNCED,
    FileClass.OWED: State.READY,
    FileClass.SETTLING: State.DISCOVERED,
    FileClass.INCOMPLETE: State.DISCOVERED,
    FileClass.DEAD: State.DEAD,
    FileClass.ABANDONED: State.ABANDONED,
}


def one_file(source: FakeSource, name: FileClass) -> None:
    """Let there be one file of a class."""
    if name not in STATES:
        source.watch.watched[0].examples = [FakeExample(VIDEO, name, "so it is")]
        return
    source.journal.rows = [transfer(1, VIDEO, STATES[name])]
    if STATES[name] is State.DISCOVERED:
        source.watch.candidates = [FakeCandidate(VIDEO, "so it is", file_class=name)]


@pytest.mark.parametrize("name", FileClass)
async def test_wait_status_and_metrics_do_with_each_class_what_the_table_says(
    served: Served, get: Get, name: FileClass
) -> None:
    """One file of that class, named with its class where it is named at all, and counted once everywhere."""
    one_file(served.source, name)
    row = row_of(name)
    reply = await get(f"/wait?timeout={'1s' if row.wait is Waiting.WAITS else '60s'}")
    assert reply["result"] == RESULTS[row.wait]
    listed = {Waiting.FAILS: "failed", Waiting.WAITS: "owed"}
    for waiting, key in listed.items():
        is_named = row.wait is waiting
        assert [one["class"] for one in reply[key]] == ([name] if is_named else [])
        assert reply[f"{key}_files"] == int(is_named)
    assert reply["delivered"]["files"] == int(row.wait is Waiting.PASSES)
    status = await get("/status")
    assert {key: number for key, number in status["files"].items() if number} == {name: 1}
    assert (len(status["attention"]), status["state"]) == (int(row.status == "attention"), "ok")
    text = (await served.get("/metrics")).text
    assert f'sidecar_files{{class="{name}",root="/renders"}} 1.0' in text


@pytest.mark.parametrize("unmatched", ["misplaced", "all", "none"])
@pytest.mark.parametrize("name", [FileClass.MISPLACED, FileClass.UNMATCHED])
async def test_the_setting_decides_which_unmatched_files_fail_a_wait(
    served: Served, get: Get, name: FileClass, unmatched: Unmatched
) -> None:
    """`watch[].unmatched`; whoever names such a file itself meant it to be sent."""
    served.source.watch.watched[0].unmatched = unmatched
    one_file(served.source, name)
    reply = await get("/wait?timeout=5s")
    assert reply["result"] == RESULTS[row_of(name, unmatched).wait]


@pytest.mark.parametrize("kind", ["missing", "unreadable", "not ours"])
async def test_a_root_of_which_nothing_can_be_told_fails_a_wait(
    served: Served, get: Get, kind: AwayKind
) -> None:
    """At once, though files of it are owed: they cannot come. Any session may lie in it."""
    served.source.watch.watched[0].away = FakeAway(kind, "so it is")
    served.source.journal.rows = [transfer(1, VIDEO, State.READY)]
    for query in ("", "&session=p/s", "&session=typo/none"):
        reply = await get(f"/wait?timeout=60s{query}")
        assert reply["result"] == "failed"
        assert reply["failed"][0] == {"path": "/renders", "class": None, "state": kind, "why": "so it is"}


async def test_what_nobody_has_seen_fails_at_once_and_names_what_is_known(served: Served, get: Get) -> None:
    """A typo in a session, or in a path, is not "synced"."""
    served.source.journal.rows = [transfer(1, VIDEO, State.SYNCED)]
    reply = await get("/wait?session=typo/none&timeout=60s")
    assert reply["verdict"] == "nothing of typo/none was ever seen; known sessions: p/s."
    assert (await get("/wait?path=/renders/p/typo&timeout=60s"))["failed"][0]["state"] == "unseen"
    assert (await get("/wait?session=p/s&timeout=60s"))["summary"] == "delivered: 1 file, 1.0 MiB"


async def test_what_appears_in_time_is_waited_for(served: Served, get: Get) -> None:
    """A renderer may begin a little later."""
    waiting = asyncio.ensure_future(get("/wait?session=p/s&timeout=60s&appear=30s"))
    while not served.source.watch.scans:
        await asyncio.sleep(0.01)
    served.source.journal.rows = [transfer(1, VIDEO, State.SYNCED)]
    assert (await waiting)["result"] == "synced"
    late = await get("/wait?session=other&timeout=60s&appear=100ms")
    assert (late["result"], late["waited_seconds"] >= 0.1) == ("failed", True)


async def test_at_most_twenty_are_named_and_all_are_counted(served: Served, get: Get) -> None:
    """With a reason each."""
    served.source.watch.watched[0].examples = [
        FakeExample(f"p/s/{number}.mp4", "misplaced", "so it is") for number in range(50)
    ]
    reply = await get("/wait?timeout=60s")
    assert (len(reply["failed"]), reply["failed_files"]) == (20, 50)


def test_http_says_it_to_whoever_has_only_curl() -> None:
    """200, 409, 504."""
    assert WAIT_STATUS == {"synced": 200, "failed": 409, "timeout": 504}

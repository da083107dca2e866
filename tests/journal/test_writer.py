"""The writer thread: durable when it returns, shared commits, a failing disk waited out."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from sidecar.core.model import State
from sidecar.journal import writer as writing
from sidecar.journal.db.connection import Topic
from sidecar.journal.journal import Journal
from sidecar.journal.read.reader import JournalReader
from sidecar.journal.stores.completion import Completion
from sidecar.journal.writer import JournalWriter
from tests.support.clock import ManualClock
from tests.support.journals import finish, note, open_journal, route, see


async def test_a_call_that_returned_is_seen_by_another_connection(tmp_path: Path) -> None:
    """Committed before the caller goes on."""
    async with JournalWriter(open_journal(tmp_path)) as journal:
        reader = JournalReader(tmp_path / "journal.db", clock=ManualClock())
        await journal.run(see)
        assert reader.counts() == {State.DISCOVERED: 1}


async def test_no_call_returns_before_its_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the disk takes: what a caller builds upon must not be taken back by a power cut."""
    journal = open_journal(tmp_path)
    atomic, committing, may_commit = journal.db.atomic, threading.Event(), threading.Event()

    @contextmanager
    def slowly() -> Iterator[None]:
        with atomic():
            yield
            committing.set()
            assert may_commit.wait(10)

    monkeypatch.setattr(journal.db, "atomic", slowly)
    async with JournalWriter(journal) as writer:
        call = asyncio.ensure_future(writer.run(note, "k", "v"))
        assert await asyncio.to_thread(committing.wait, 10)
        returned, _ = await asyncio.wait({call}, timeout=0.1)
        may_commit.set()
        assert await call == "v"
    assert not returned


async def test_one_failing_call_does_not_hurt_its_group(tmp_path: Path) -> None:
    """Each call has its savepoint: its own failure is its own."""

    def half_done(journal: Journal) -> None:
        with journal.db.atomic():
            see(journal, at=route("half.mp4"))
            raise ValueError("in the middle")

    async with JournalWriter(open_journal(tmp_path)) as journal:
        calls = [journal.run(see), journal.run(half_done)]
        first, second = await asyncio.gather(*calls, return_exceptions=True)
        assert not isinstance(first, BaseException)
        assert isinstance(second, ValueError)
        assert len(await journal.do(Completion.candidates)) == 1


async def test_neighbours_of_a_failing_call_keep_all_they_did(tmp_path: Path) -> None:
    """Their rows, their history, and what is logged: as if it had not been there."""
    seen: list[str] = []

    def fail(journal: Journal) -> None:
        see(journal, at=route("half.mp4"))
        raise ValueError("at its end")

    journal = open_journal(tmp_path)
    async with JournalWriter(journal, observe=lambda steps: seen.extend(one.path for one in steps)) as writer:
        calls = [writer.run(see, at=route(f"{n}.mp4")) for n in range(2)]
        results = await asyncio.gather(calls[0], writer.run(fail), calls[1], return_exceptions=True)
        assert [isinstance(result, ValueError) for result in results] == [False, True, False]
        reader = JournalReader(tmp_path / "journal.db", clock=ManualClock())
        assert reader.counts() == {State.DISCOVERED: 2}
        rows = journal.db.execute("SELECT transfer, event FROM events ORDER BY id").fetchall()
        assert [tuple(row) for row in rows] == [(1, "discovered"), (2, "discovered")]
    assert [path.rpartition("/")[2] for path in seen] == ["0.mp4", "1.mp4"]


def test_a_part_that_failed_is_not_committed_by_a_caller_who_goes_on(tmp_path: Path) -> None:
    """It left half of its rows behind: there is no savepoint to go back to."""
    journal = open_journal(tmp_path)
    with pytest.raises(RuntimeError, match="went on"), journal.db.atomic():  # noqa: PT012 - a part of it
        with suppress(ValueError), journal.db.atomic():
            see(journal)
            raise ValueError("in the middle")
        note(journal, "k", "v")
    assert journal.completion.candidates() == []
    assert see(journal) is not None


async def test_what_only_reads_begins_no_transaction(tmp_path: Path) -> None:
    """Watching asks for what is known of every file that moves; what writes is one transaction as before."""
    journal, begun = open_journal(tmp_path), list[str]()
    journal.db.conn.set_trace_callback(begun.append)
    async with JournalWriter(journal) as writer:
        assert await writer.do(Completion.candidates) == []
        assert "BEGIN" not in begun
        await writer.run(see)
        assert (begun.count("BEGIN"), begun.count("COMMIT")) == (1, 1)


async def test_calls_of_one_turn_of_the_loop_wake_the_thread_once(tmp_path: Path) -> None:
    """They are one transaction: each hand-over costs more than the call itself."""
    journal, begun = open_journal(tmp_path), list[str]()
    journal.db.conn.set_trace_callback(begun.append)
    async with JournalWriter(journal) as writer:
        calls = [writer.run(see, at=route(f"{n}.mp4")) for n in range(20)]
        assert len(writer._turn) == len(calls)
        await asyncio.gather(*calls)
        assert begun.count("COMMIT") == 1


async def test_calls_of_the_last_turn_are_made_all_the_same(tmp_path: Path) -> None:
    """The thread ends after them."""
    async with JournalWriter(open_journal(tmp_path)) as writer:
        call = writer.run(note, "k", "v")
    assert await asyncio.wait_for(call, 10) == "v"


async def test_a_commit_wakes_whom_it_made_work_for(tmp_path: Path) -> None:
    """A subscriber that waits is set by the commit, not by a timer."""
    async with JournalWriter(open_journal(tmp_path)) as journal:
        uploads = journal.subscribe(Topic.UPLOADS)
        uploads.clear()
        candidate = await journal.run(see)
        assert candidate is not None
        assert not uploads.is_set()
        await journal.run(lambda j: finish(j, candidate, "A"))
        await asyncio.wait_for(uploads.wait(), 5)


def failure(message: str, code: int) -> sqlite3.OperationalError:
    """Return what SQLite raises."""
    error = sqlite3.OperationalError(message)
    error.sqlite_errorcode = code
    return error


async def test_no_descriptor_left_is_waited_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite says "unable to open database file"; the caller hears nothing of it."""
    monkeypatch.setattr(writing, "RETRY_SECONDS", 0.01)
    failures = [failure("unable to open database file", sqlite3.SQLITE_CANTOPEN)]

    def write(journal: Journal) -> str:
        if failures:
            raise failures.pop()
        return note(journal, "k", "v")

    async with JournalWriter(open_journal(tmp_path)) as writer:
        assert await writer.run(write) == "v"


async def test_our_own_mistakes_are_not_waited_out(tmp_path: Path) -> None:
    """A statement that cannot work never will."""
    async with JournalWriter(open_journal(tmp_path)) as writer:
        with pytest.raises(sqlite3.OperationalError):
            await writer.run(lambda journal: journal.db.execute("SELECT nothing FROM nowhere"))


async def test_a_full_disk_is_waited_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The call returns when it is on disk; until then the trouble has a name."""
    monkeypatch.setattr(writing, "RETRY_SECONDS", 0.01)
    failures = [failure("database or disk is full", sqlite3.SQLITE_FULL)] * 3
    seen: list[str | None] = []

    def write(journal: Journal) -> str:
        seen.append(writer.trouble)
        if failures:
            raise failures.pop()
        return note(journal, "k", "v")

    async with JournalWriter(open_journal(tmp_path)) as writer:
        assert await writer.run(write) == "v"
        assert writer.trouble is None
    assert seen[0] is None
    assert "disk is full" in (seen[-1] or "")

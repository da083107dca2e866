"""A journal on a disk that is small, full, or both: it fits itself in, and goes on with what is freed."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from pathlib import Path

import pytest

from sidecar.journal import writer as writing
from sidecar.journal.db.reserve import Reserve
from sidecar.journal.journal import Journal
from sidecar.journal.writer import JournalWriter
from tests.crash_process.disks import small_disk
from tests.support.journals import note, open_journal, ready, route, ship, tell
from tests.support.patience import DEADLINE_SECONDS

from .test_writer import failure

FILES = 60


def one_file(journal: Journal, number: int) -> None:
    """Bring a file all the way."""
    transfer = ready(journal, f"text{number}", at=route(f"f{number}.mp4"))
    ship(journal, transfer)
    tell(journal)


async def test_a_disk_of_one_mebibyte_is_enough_for_some_files(tmp_path: Path) -> None:
    """SQLite's log alone would fill it four times."""
    with small_disk(tmp_path / "small", options="size=1m") as disk:
        reserve = Reserve(disk / "journal.db")
        async with JournalWriter(open_journal(disk), reserve=reserve) as writer:
            assert reserve.take()
            async with asyncio.timeout(DEADLINE_SECONDS):
                for number in range(FILES):
                    await writer.run(one_file, number)
            assert reserve.is_allocated, "it was not even short"
            assert (disk / "journal.db-wal").stat().st_size < 256 * 1024


async def test_a_tiny_disk_that_was_full_goes_on_with_what_is_freed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log that grew meanwhile is taken into the file first."""
    monkeypatch.setattr(writing, "RETRY_SECONDS", 0.05)
    with small_disk(tmp_path / "small", options="size=1m") as disk:
        async with JournalWriter(open_journal(disk), reserve=Reserve(disk / "journal.db")) as writer:
            for number in range(5):
                await writer.run(one_file, number)
            filler = disk / "filler"
            fill(filler)
            stuck = asyncio.gather(*(writer.run(one_file, number) for number in range(5, FILES)))
            async with asyncio.timeout(DEADLINE_SECONDS):
                while writer.trouble is None:
                    await asyncio.sleep(0.01)
                filler.unlink()
                await stuck
            assert writer.trouble is None


def fill(path: Path) -> None:
    """Write until there is no room."""
    with path.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            return


async def test_the_log_is_emptied_before_the_reserve_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And both before anybody waits."""
    monkeypatch.setattr(writing, "RETRY_SECONDS", 0.01)
    failures, steps = [failure("database or disk is full", sqlite3.SQLITE_FULL)] * 5, list[tuple[int, bool]]()

    def write(journal: Journal) -> str:
        steps.append(((tmp_path / "journal.db-wal").stat().st_size, reserve.is_allocated))
        if failures:
            raise failures.pop()
        return note(journal, "k", "v")

    reserve = Reserve(tmp_path / "journal.db")
    async with JournalWriter(open_journal(tmp_path), reserve=reserve) as writer:
        assert reserve.take()
        assert not reserve.is_lacking
        assert await writer.run(write) == "v"
    assert [(size > 0, held) for size, held in steps[:3]] == [(True, True), (False, True), (False, False)]
    assert reserve.is_lacking


async def test_calls_that_do_not_fit_together_are_made_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is small is not kept waiting by what came with it."""
    monkeypatch.setattr(writing, "RETRY_SECONDS", 0.01)
    gate, room = threading.Event(), threading.Event()

    def big(journal: Journal) -> str:
        if not room.is_set():
            raise failure("database or disk is full", sqlite3.SQLITE_FULL)
        return note(journal, "big", "1")

    async with JournalWriter(open_journal(tmp_path)) as writer:
        blocker = asyncio.ensure_future(writer.run(lambda _: gate.wait(10)))  # so that both are one group
        small = asyncio.ensure_future(writer.run(note, "small", "1"))
        large = asyncio.ensure_future(writer.run(big))
        await asyncio.sleep(0)
        gate.set()
        async with asyncio.timeout(DEADLINE_SECONDS):
            assert await small == "1"
        assert not large.done()
        room.set()
        assert (await large, await blocker) == ("1", True)

"""Whether new files may be taken in while the journal's disk is full."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from sidecar.daemon.admission import FEW, Admission
from sidecar.journal.db.reserve import Reserve
from sidecar.journal.journal import Journal
from sidecar.journal.read.reader import JournalReader
from sidecar.watch.stage import OBSERVATIONS_MAX
from tests.support.clock import ManualClock
from tests.support.journals import open_journal, ready, see, ship, tell


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    """Open an empty one."""
    journal = open_journal(tmp_path)
    yield journal
    journal.close()


@pytest.fixture
def reader(journal: Journal) -> Iterator[JournalReader]:
    """Open it for reading."""
    reader = JournalReader(journal.db.path, clock=ManualClock())
    yield reader
    reader.close()


async def test_with_its_reserve_the_journal_takes_in_many(journal: Journal, reader: JournalReader) -> None:
    """Whatever is owed."""
    reserve = Reserve(journal.db.path)
    assert reserve.take()
    ready(journal, "A")
    assert await Admission(reserve=reserve, reader=reader, syncing=True).wait() == OBSERVATIONS_MAX


@pytest.mark.parametrize("syncing", [True, False])
async def test_without_it_new_files_wait_for_those_that_are_complete(
    journal: Journal, reader: JournalReader, *, syncing: bool
) -> None:
    """Until nothing is owed of them any more; then a few come in. Incomplete ones hold up nobody."""
    reserve = Reserve(journal.db.path)
    reserve.give_up()
    transfer = ready(journal, "A")
    waiting = asyncio.ensure_future(Admission(reserve=reserve, reader=reader, syncing=syncing).wait())
    assert not await over(waiting)
    ship(journal, transfer)
    assert await over(waiting) is not syncing
    tell(journal)
    see(journal, 2)
    assert await over(waiting)
    assert waiting.result() == FEW


async def test_a_reserve_that_is_made_again_lets_them_in(journal: Journal, reader: JournalReader) -> None:
    """Though nothing was shipped."""
    reserve = Reserve(journal.db.path)
    reserve.give_up()
    ready(journal, "A")
    waiting = asyncio.ensure_future(Admission(reserve=reserve, reader=reader, syncing=True).wait())
    assert not await over(waiting)
    assert reserve.take()
    assert await waiting == OBSERVATIONS_MAX


async def over(waiting: asyncio.Future[int]) -> bool:
    """Tell whether a wait ends within more than it rests."""
    done, _ = await asyncio.wait({waiting}, timeout=0.5)
    return bool(done)

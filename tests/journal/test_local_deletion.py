"""What the journal remembers of files that the sidecar deletes itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecar.core.model import State, Transfer
from sidecar.journal.journal import Journal
from tests.support.clock import ManualClock
from tests.support.journals import ROOT, finish, identity, open_journal, ready, see, ship, tell

LATER_MS = 10**15


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """Open an empty one."""
    return open_journal(tmp_path)


def synced(journal: Journal, text: str = "a") -> Transfer:
    """Bring the usual file to synced."""
    transfer = ready(journal, text)
    ship(journal, transfer)
    tell(journal)
    assert journal.transfers.one(transfer.row_id).state is State.SYNCED
    return journal.transfers.one(transfer.row_id)


def spent(journal: Journal, before_ms: int = LATER_MS) -> list[int]:
    """Return the ids of what may be deleted."""
    return [
        transfer.row_id
        for transfer in journal.local_deletion.deletable(after=0, before_ms=before_ms, limit=1000)[0]
    ]


def listed(journal: Journal) -> set[str]:
    """Return the names that a listing would be compared with."""
    return set(journal.files.known(ROOT, "demo/lesson/s1"))


def test_only_what_convex_acknowledged_is_spent(journal: Journal) -> None:
    """Ready and uploaded files are not, nor a synced one of which newer content is known."""
    transfer = ready(journal, "a")
    assert spent(journal) == []
    ship(journal, transfer)
    assert spent(journal) == []
    tell(journal)
    assert spent(journal) == [transfer.row_id]
    newer = see(journal, 2)
    assert newer is not None
    assert spent(journal) == []
    assert not journal.local_deletion.begin_deletion(transfer.row_id)


def test_a_file_is_spent_when_it_is_old_and_so_is_its_newest_look(tmp_path: Path) -> None:
    """Age counts from the acknowledgement, and anew when the same content was written again."""
    clock = ManualClock()
    journal = open_journal(tmp_path, clock)
    transfer = synced(journal)
    assert transfer.synced_ms is not None
    assert spent(journal, transfer.synced_ms - 1) == []
    assert spent(journal, transfer.synced_ms) == [transfer.row_id]
    again = see(journal, clock.wall * 1000)
    assert again is not None
    finish(journal, again, "a", clock.wall * 1000)
    assert spent(journal, transfer.synced_ms - 1) == []
    [found], _ = journal.local_deletion.deletable(after=0, before_ms=LATER_MS, limit=1000)
    assert found.identity == identity(clock.wall * 1000)


def test_what_we_delete_is_never_missing(journal: Journal) -> None:
    """However many listings do not show it, also one that began before."""
    transfer = synced(journal)
    assert journal.local_deletion.begin_deletion(transfer.row_id)
    assert listed(journal) == set()
    journal.files.missing(ROOT, [transfer.path])
    journal.local_deletion.deleted(transfer.row_id)
    assert listed(journal) == set()
    for _ in range(3):
        journal.files.missing(ROOT, [transfer.path])
    assert journal.transfers.one(transfer.row_id).state is State.SYNCED
    assert journal.local_deletion.deletions_begun() == []
    assert spent(journal) == []


def test_a_file_that_stays_or_comes_back_is_known_again(journal: Journal) -> None:
    """As it was: no new transfer for the same content, a new one for other content."""
    transfer = synced(journal)
    assert journal.local_deletion.begin_deletion(transfer.row_id)
    journal.local_deletion.kept(transfer.row_id)
    assert listed(journal) == {"chunk_001.mp4"}
    assert journal.local_deletion.begin_deletion(transfer.row_id)
    journal.local_deletion.deleted(transfer.row_id)
    assert see(journal, 1) is None
    assert listed(journal) == {"chunk_001.mp4"}
    assert journal.local_deletion.begin_deletion(transfer.row_id)
    journal.local_deletion.deleted(transfer.row_id)
    assert see(journal, 2) is not None


def test_a_deletion_that_was_begun_outlives_a_crash(tmp_path: Path) -> None:
    """The next process finishes it or takes it back."""
    journal = open_journal(tmp_path)
    transfer = synced(journal)
    assert journal.local_deletion.begin_deletion(transfer.row_id)
    journal.close()
    journal = open_journal(tmp_path)
    assert [begun.row_id for begun in journal.local_deletion.deletions_begun()] == [transfer.row_id]


def test_a_file_lies_here_until_its_deletion_is_done(tmp_path: Path) -> None:
    """Whoever was killed in between puts it back, and then must know it: nothing forgets it before."""
    clock = ManualClock()
    journal = open_journal(tmp_path, clock)
    transfer = synced(journal)
    assert journal.local_deletion.begin_deletion(transfer.row_id)
    for _ in range(3):
        clock.advance(1.0)
        assert journal.pruning.prune_transfers(now_ms=clock.wall, keep_ms=0) == 0
    assert [begun.row_id for begun in journal.local_deletion.deletions_begun()] == [transfer.row_id]
    journal.local_deletion.deleted(transfer.row_id)
    clock.advance(1.0)
    assert journal.pruning.prune_transfers(now_ms=clock.wall, keep_ms=0) == 1
    assert journal.transfers.find(transfer.row_id) is None


def test_a_file_that_a_listing_missed_is_not_deleted(journal: Journal) -> None:
    """What people removed must not pass for our own deletion: its asset would be shown for ever."""
    transfer = synced(journal)
    journal.files.missing(ROOT, [transfer.path])
    assert spent(journal) == []
    assert not journal.local_deletion.begin_deletion(transfer.row_id)
    assert journal.local_deletion.deletions_begun() == []


def test_the_journal_is_gone_through_in_pages(journal: Journal) -> None:
    """A million rows cost a little each time."""
    transfer = synced(journal)
    assert journal.local_deletion.deletable(after=0, before_ms=LATER_MS, limit=transfer.row_id - 1)[0] == []
    page, further = journal.local_deletion.deletable(after=transfer.row_id - 1, before_ms=LATER_MS, limit=1)
    assert ([one.row_id for one in page], further) == ([transfer.row_id], None)

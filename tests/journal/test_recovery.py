"""A fresh journal holds what it finds until it is known whether it was sent before."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecar.core.errors import JournalLostError
from sidecar.core.model import KnownContent, State, StoredObject
from sidecar.journal.journal import Journal
from tests.support.journals import (
    claim,
    finish,
    open_journal,
    ready,
    route,
    see,
    ship,
    tell,
)

KNOWN = KnownContent(key="old/key.01OLD", transfer="01OLD", version=4)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """Open a new journal as the daemon does."""
    journal = open_journal(tmp_path)
    journal.recovery.begin_recovery()
    return journal


def claimed(journal: Journal) -> list[int]:
    """Return the rows that the upload stage would get."""
    return [transfer.row_id for transfer in journal.upload_claims.claim_uploads(limit=9, now=0).transfers]


def stored(key: str) -> StoredObject:
    """Return what a HEAD says."""
    return StoredObject(bucket="lessons", key=key, etag="e")


def test_what_the_first_scan_finds_is_held(journal: Journal) -> None:
    """Also what it only discovers and what is complete later; nothing that comes after it."""
    first = ready(journal, "A")
    growing = see(journal, at=route("growing.mp4"))
    assert growing is not None
    journal.recovery.end_recovery()
    finish(journal, growing, "B")
    later = ready(journal, "C", at=route("later.mp4"))
    assert claimed(journal) == [later.row_id]
    assert [transfer.row_id for transfer in journal.lookups.awaiting_lookup(limit=9)] == [
        first.row_id,
        growing.row_id,
    ]


def test_an_unfinished_first_scan_is_one_after_a_restart_too(journal: Journal, tmp_path: Path) -> None:
    """Until it is over; then never again."""
    journal.close()
    journal = open_journal(tmp_path)
    journal.recovery.begin_recovery()
    held = ready(journal, "A")
    assert [transfer.row_id for transfer in journal.lookups.awaiting_lookup(limit=9)] == [held.row_id]
    journal.recovery.end_recovery()
    journal.close()
    journal = open_journal(tmp_path)
    journal.recovery.begin_recovery()
    later = ready(journal, "B", at=route("b.mp4"))
    assert claimed(journal) == [later.row_id]


def test_a_first_life_that_ended_before_anything_leaves_a_new_journal(tmp_path: Path) -> None:
    """It was made, and nobody had said yet that it recalls."""
    open_journal(tmp_path).close()
    journal = open_journal(tmp_path)
    journal.recovery.begin_recovery()
    held = ready(journal, "A")
    assert [transfer.row_id for transfer in journal.lookups.awaiting_lookup(limit=9)] == [held.row_id]


def test_a_folder_that_was_empty_is_scanned_once(journal: Journal, tmp_path: Path) -> None:
    """What comes after it is new, also after a restart."""
    journal.recovery.end_recovery()
    journal.close()
    journal = open_journal(tmp_path)
    journal.recovery.begin_recovery()
    later = ready(journal, "A")
    assert claimed(journal) == [later.row_id]


def test_a_recalled_transfer_may_go_with_where_to_look(journal: Journal) -> None:
    """Or with nothing, if it is new."""
    known, new = ready(journal, "A"), ready(journal, "B", at=route("b.mp4"))
    journal.lookups.end_lookups({known.row_id: KNOWN, new.row_id: None})
    assert claimed(journal) == [known.row_id, new.row_id]
    assert [journal.transfers.one(row.row_id).known_content for row in (known, new)] == [KNOWN, None]


def test_adopted_content_is_synced_and_owes_nothing(journal: Journal) -> None:
    """No upload, no op; the version is Convex's."""
    transfer = ready(journal, "A")
    journal.lookups.end_lookups({transfer.row_id: KNOWN})
    journal.upload_claims.claim_uploads(limit=1, now=0)
    journal.lookups.take_over_key(transfer.row_id, KNOWN)
    assert journal.lookups.adopt(transfer.row_id, stored("old/key.01OLD")) is State.SYNCED
    adopted = journal.transfers.one(transfer.row_id)
    assert (adopted.key, adopted.transfer_id, adopted.version) == ("old/key.01OLD", "01OLD", 4)
    assert claim(journal) is None


def test_adopted_content_that_was_overtaken_leaves_its_object_alone(journal: Journal) -> None:
    """An older row of Convex names it, or reconciling finds it: it was never this journal's to delete."""
    transfer = ready(journal, "A")
    journal.lookups.end_lookups({transfer.row_id: KNOWN})
    journal.upload_claims.claim_uploads(limit=1, now=0)
    journal.lookups.take_over_key(transfer.row_id, KNOWN)
    newer = ready(journal, "B", 2)
    assert journal.lookups.adopt(transfer.row_id, stored("old/key.01OLD")) is State.SUPERSEDED
    assert journal.cleanup.claim_cleanup(limit=9, now=0) == []
    journal.lookups.end_lookups({newer.row_id: None})
    ship(journal, newer)
    tell(journal)
    assert journal.transfers.one(newer.row_id).state is State.SYNCED


def test_a_lost_journal_is_kept_aside_under_a_name_of_its_own(tmp_path: Path) -> None:
    """Twice in one second, too; each new journal has another id."""
    ids = set()
    for _ in range(3):
        journal = open_journal(tmp_path)
        ids.add(journal.db.journal_id)
        path, clock = journal.db.path, journal.db.clock
        journal.close()
        lost = JournalLostError("an old copy")
        Journal(path, tag="T" * 8, bucket="lessons", clock=clock, lost=lost).close()
    assert len(ids) == 3
    assert len(list(tmp_path.glob("journal.db.quarantined-*"))) == 3

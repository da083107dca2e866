"""Content that comes back, and dead letters that Convex may know after all."""

from __future__ import annotations

from pathlib import Path

from sidecar.core.errors import ErrorKind, SidecarError
from sidecar.core.model import Part, State, StoredObject, Transfer
from sidecar.core.ops import Kept, OpOutcome, OpResult
from sidecar.journal.journal import Journal
from sidecar.journal.read.reader import JournalReader
from tests.support.clock import ManualClock
from tests.support.journals import ROOT, batch, finish, open_journal, ready, see, ship, tell


def named(transfer: Transfer) -> Kept:
    """Return how Convex names a transfer's object."""
    return Kept(key=transfer.key, transfer_id=transfer.transfer_id)


def test_the_object_of_content_that_convex_still_shows_is_deleted_again(tmp_path: Path) -> None:
    """A is told, B is overtaken unsent, A comes back: Convex goes on showing the first A's object."""
    journal = open_journal(tmp_path)
    first = ready(journal, "A")
    ship(journal, first)
    tell(journal)
    second = ready(journal, "B", 2)
    third = ready(journal, "A", 3)
    assert journal.transfers.one(second.row_id).state is State.SUPERSEDED
    ship(journal, third)
    tell(journal, OpOutcome.UNCHANGED, kept=named(first))
    shown = journal.transfers.one(third.row_id)
    assert (shown.state, shown.version, shown.key) == (State.SYNCED, 1, first.key)
    assert [task.key for task in journal.cleanup.claim_cleanup(limit=9, now=1e9) if task.delete_object] == [
        third.key
    ]
    assert see(journal, 3) is None, "the file is known"


def test_an_unchanged_answer_that_was_lost_counts_as_much(tmp_path: Path) -> None:
    """The retry is told that it is a duplicate, with the version of the object that is shown."""
    journal = open_journal(tmp_path)
    first = ready(journal, "A")
    ship(journal, first)
    tell(journal)
    ready(journal, "B", 2)
    third = ready(journal, "A", 3)
    ship(journal, third)
    tell(journal, OpOutcome.DUPLICATE, kept=named(first))
    assert journal.transfers.one(third.row_id).key == first.key
    assert [task.key for task in journal.cleanup.claim_cleanup(limit=9, now=1e9) if task.delete_object] == [
        third.key
    ]


def test_content_that_another_sidecar_brought_is_not_kept_twice(tmp_path: Path) -> None:
    """Our own object is in nobody's row: it is deleted, and the journal names the one that is shown."""
    journal = open_journal(tmp_path)
    transfer = ready(journal, "A")
    ship(journal, transfer)
    tell(journal, OpOutcome.UNCHANGED, kept=Kept(key="theirs/a.mp4", transfer_id="THEIRS"))
    told = journal.transfers.one(transfer.row_id)
    assert (told.state, told.version, told.key, told.transfer_id) == (
        State.SYNCED,
        1,
        "theirs/a.mp4",
        "THEIRS",
    )
    (task,) = journal.cleanup.claim_cleanup(limit=9, now=1e9)
    assert (task.key, task.transfer_id, task.delete_object) == (transfer.key, transfer.transfer_id, True)
    assert see(journal, 1) is None, "the file is known"


def test_what_another_sidecar_brought_is_never_deleted_by_us(tmp_path: Path) -> None:
    """However the row that stands for it ends: sent again by a reconciliation, then overtaken."""
    journal = open_journal(tmp_path)
    transfer = ready(journal, "A")
    ship(journal, transfer)
    tell(journal, OpOutcome.DUPLICATE, kept=Kept(key=f"theirs/{transfer.transfer_id}", transfer_id="theirs"))
    (ours,) = journal.cleanup.claim_cleanup(limit=9, now=1e9)
    journal.cleanup.complete_cleanup(ours.id)
    assert journal.repairs.upload_again(transfer.row_id)
    journal.uploads.begin_put(transfer.row_id)
    ready(journal, "B", 2)
    assert journal.transfers.one(transfer.row_id).state is State.SUPERSEDED
    assert journal.cleanup.claim_cleanup(limit=9, now=1e9) == []


def test_a_file_whose_content_came_back_is_shown_as_what_it_stands_for(tmp_path: Path) -> None:
    """B was never sent, and A is unchanged then: the file's newest row is superseded, the file is synced."""
    journal = open_journal(tmp_path)
    first = ready(journal, "A")
    ship(journal, first)
    tell(journal)
    for n in range(2, 30):
        ready(journal, f"B{n}", n)
    journal.uploads.content_changed(newest(journal).row_id, "the file changed before it was sent")
    candidate = journal.completion.candidates()[0]
    assert finish(journal, candidate, "A", 30) is None
    reader = JournalReader(journal.db.path, clock=ManualClock())
    rows = reader.transfers_of(ROOT, first.path)
    reader.close()
    assert (rows[0].row_id, rows[0].state, len(rows)) == (first.row_id, State.SYNCED, 20)
    assert {row.state for row in rows[1:]} == {State.SUPERSEDED}


def newest(journal: Journal) -> Transfer:
    """Return the transfer that is ready."""
    (found,) = journal.upload_claims.claim_uploads(limit=9, now=1e9).transfers
    return found


def test_an_answer_that_names_our_own_object_keeps_it(tmp_path: Path) -> None:
    """An op that was applied before its answer was lost."""
    journal = open_journal(tmp_path)
    transfer = ready(journal, "A")
    ship(journal, transfer)
    tell(journal, OpOutcome.DUPLICATE)
    assert (journal.transfers.one(transfer.row_id).state, journal.transfers.one(transfer.row_id).key) == (
        State.SYNCED,
        transfer.key,
    )
    assert journal.cleanup.claim_cleanup(limit=9, now=1e9) == []


def _lost() -> SidecarError:
    return SidecarError(ErrorKind.NETWORK, "lost", operation="apply", target="ops", maybe_done=True)


def test_content_from_before_a_dead_letter_is_told_again(tmp_path: Path) -> None:
    """B's op died of lost answers, so Convex may show B: the older A is not unchanged."""
    journal = open_journal(tmp_path)
    first = ready(journal, "A")
    ship(journal, first)
    tell(journal)
    second = ready(journal, "B", 2)
    ship(journal, second)
    journal.answers.mark_ops_dead([op.seq for op in batch(journal).ops if op.kind == "put"], _lost())
    assert journal.transfers.one(second.row_id).state is State.DEAD
    candidate = see(journal, 3)
    assert candidate is not None
    assert finish(journal, candidate, "A", 3) is State.READY


def test_the_object_of_a_dead_letter_that_convex_may_show_stays(tmp_path: Path) -> None:
    """A version row that nobody heard of would be left without its object."""
    journal = open_journal(tmp_path)
    first = ready(journal, "A")
    ship(journal, first)
    journal.answers.mark_ops_dead([op.seq for op in batch(journal).ops if op.kind == "put"], _lost())
    second = ready(journal, "B", 2)
    ship(journal, second)
    tell(journal)
    assert journal.transfers.one(first.row_id).state is State.SUPERSEDED
    assert not any(task.delete_object for task in journal.cleanup.claim_cleanup(limit=9, now=1e9))


def test_the_object_of_a_dead_letter_that_convex_refused_is_deleted_when_overtaken(tmp_path: Path) -> None:
    """Convex's own word is definite: nothing refers to the object."""
    journal = open_journal(tmp_path)
    first = ready(journal, "A")
    ship(journal, first)
    results = [
        OpResult(op_id=op.op_id, outcome=OpOutcome.REJECTED, code="SCENE_DELETED", message="deleted")
        for op in batch(journal).ops
        if op.kind == "put"
    ]
    journal.answers.settle(results)
    second = ready(journal, "B", 2)
    ship(journal, second)
    tell(journal)
    assert journal.transfers.one(first.row_id).state is State.SUPERSEDED
    assert [task.key for task in journal.cleanup.claim_cleanup(limit=9, now=1e9) if task.delete_object] == [
        first.key
    ]


def test_a_finished_multipart_upload_leaves_no_other_under_its_key(tmp_path: Path) -> None:
    """A Create that was delivered twice left one open that nobody has the ID of."""
    journal = open_journal(tmp_path)
    transfer = ready(journal, "A")
    journal.multipart.begin_multipart(transfer.row_id, part_bytes=5)
    journal.multipart.opened(transfer.row_id, "the-one")
    journal.multipart.part_stored(transfer.row_id, Part(number=1, size_bytes=5, etag="e", checksum="c"))
    ship(journal, transfer)
    (task,) = journal.cleanup.claim_cleanup(limit=9, now=1e9)
    assert (task.key, task.upload_id, task.delete_object) == (transfer.key, None, False)


def test_a_multipart_upload_that_was_overtaken_at_its_end_leaves_no_other_either(tmp_path: Path) -> None:
    """Its object and whatever else a doubled Create left under its key are both owed."""
    journal = open_journal(tmp_path)
    transfer = ready(journal, "A")
    (claimed,) = journal.upload_claims.claim_uploads(limit=9, now=1e9).transfers
    journal.multipart.begin_multipart(claimed.row_id, part_bytes=5)
    journal.multipart.opened(claimed.row_id, "the-one")
    ready(journal, "B", 2)
    stored = StoredObject(bucket="lessons", key=transfer.key, etag="e")
    assert journal.uploads.uploaded(claimed, stored, url="https://cdn.example/k") is State.SUPERSEDED
    tasks = journal.cleanup.claim_cleanup(limit=9, now=1e9)
    assert {(task.key, task.upload_id, task.delete_object) for task in tasks} == {
        (transfer.key, None, False),
        (transfer.key, None, True),
    }

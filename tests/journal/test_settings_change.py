"""Settings that changed: what was owed under the old ones comes to an end, and is not lost by it."""

from __future__ import annotations

from pathlib import Path

from sidecar.core.errors import ErrorKind, SidecarError
from sidecar.core.ids import sidecar_tag
from sidecar.core.model import State
from sidecar.daemon.settings_change import apply_settings_change
from sidecar.journal.journal import Journal
from sidecar.journal.read.reader import JournalReader
from sidecar.journal.stores.transfers import Transfers
from sidecar.journal.writer import JournalWriter
from tests.support.clock import ManualClock
from tests.support.journals import ROOT, batch, open_journal, ready, route, see, ship, tell

REFUSED = SidecarError(ErrorKind.INVALID, "too large", operation="PutObject", target="k")


def moved(folder: Path) -> Journal:
    """Open the journal under settings that name another bucket."""
    return Journal(
        folder / "journal.db", tag=sidecar_tag("test-sidecar"), bucket="other", clock=ManualClock()
    )


def test_what_waits_goes_to_the_new_bucket(tmp_path: Path) -> None:
    """Also what was begun in the old one, anew; what is in S3 stays where it is and is told as such."""
    journal = open_journal(tmp_path)
    shipped = ready(journal, "A", at=route("a.mp4"))
    ship(journal, shipped)
    begun = ready(journal, "B", at=route("b.mp4"))
    journal.multipart.begin_multipart(begun.row_id, part_bytes=8)
    journal.multipart.opened(begun.row_id, "U1")
    growing = see(journal, at=route("c.mp4"))
    assert growing is not None
    journal.close()
    journal = moved(tmp_path)
    assert journal.settings_change.redirect_to_bucket() == 2
    assert journal.settings_change.redirect_to_bucket() == 0
    anew = journal.transfers.one(begun.row_id)
    assert (anew.bucket, anew.upload_id, anew.may_upload, journal.multipart.parts(begun.row_id)) == (
        "other",
        None,
        False,
        [],
    )
    assert journal.transfers.one(growing.row_id).bucket == "other"
    assert [op.body["asset"]["bucket"] for op in batch(journal).ops if op.kind == "put"] == ["lessons"]
    assert journal.transfers.one(shipped.row_id).bucket == "lessons"


def test_a_dead_letter_of_the_old_bucket_can_be_requeued(tmp_path: Path) -> None:
    """It goes to the bucket of the settings: its hint is true."""
    journal = open_journal(tmp_path)
    letter = ready(journal, "A")
    journal.uploads.mark_dead(letter.row_id, REFUSED)
    journal.close()
    journal = moved(tmp_path)
    assert journal.settings_change.redirect_to_bucket() == 0
    assert journal.repairs.requeue() == 1
    assert (journal.transfers.one(letter.row_id).state, journal.transfers.one(letter.row_id).bucket) == (
        State.READY,
        "other",
    )


def test_a_dead_letter_counts_the_attempt_that_it_died_of(tmp_path: Path) -> None:
    """Three attempts are three, at either remote."""
    journal = open_journal(tmp_path)
    letter = ready(journal, "A", at=route("a.mp4"))
    for _ in range(2):
        journal.upload_claims.fail_upload(letter.row_id, REFUSED, due=0, spent=True)
    journal.uploads.mark_dead(letter.row_id, REFUSED)
    assert journal.transfers.one(letter.row_id).failures == 3
    told = ready(journal, "B", at=route("b.mp4"))
    ship(journal, told)
    seqs = [op.seq for op in batch(journal).ops if op.kind == "put"]
    for _ in range(2):
        journal.batches.fail_ops(seqs, REFUSED, due=0, spent=True)
    journal.answers.mark_ops_dead(seqs, REFUSED)
    assert journal.transfers.one(told.row_id).failures == 3


def test_with_sync_off_nothing_is_owed_after_the_upload(tmp_path: Path) -> None:
    """Neither files nor bytes, nor an age that grows for ever."""
    clock = ManualClock()
    journal = open_journal(tmp_path, clock)
    ship(journal, ready(journal, "A", at=route("a.mp4")))
    clock.advance(5)
    reader = JournalReader(tmp_path / "journal.db", clock=clock, syncing=False)
    assert reader.backlog() == (0, 0, 0.0)
    ready(journal, "B", at=route("b.mp4"))
    assert reader.backlog() == (1, 10, 0.0)


async def test_a_root_that_is_taken_out_leaves_no_backlog(tmp_path: Path) -> None:
    """What is in S3 is told; what cannot be read any more is let go, and is new when the root comes back."""
    journal = open_journal(tmp_path)
    shipped = ready(journal, "A", at=route("a.mp4"))
    ship(journal, shipped)
    waiting = ready(journal, "B", at=route("b.mp4"))
    growing = see(journal, at=route("c.mp4"))
    left = see(journal, at=route("d.mp4"))
    assert growing is not None
    assert left is not None
    journal.completion.abandon(left.row_id, "nobody writes it")
    async with JournalWriter(journal) as writer:
        await apply_settings_change(writer, roots=[ROOT])
        assert await writer.do(Transfers.one, growing.row_id) == growing
        await apply_settings_change(writer, roots=["/elsewhere"])
        rows = [await writer.do(Transfers.one, one.row_id) for one in (shipped, waiting, growing, left)]
        assert [row.state for row in rows] == [State.UPLOADED, State.GONE, State.GONE, State.GONE]
        tell(journal)
        with_reader = JournalReader(tmp_path / "journal.db", clock=ManualClock())
        assert (with_reader.backlog()[0], with_reader.unfinished()) == (0, {})
        assert with_reader.events_of(growing.row_id)[-1][1:] == ("let go", f"{ROOT} is no longer watched")
        again = see(journal, at=route("c.mp4"))
        assert again is not None
        assert again.row_id != growing.row_id


async def test_what_lies_complete_below_a_former_root_is_still_shipped(tmp_path: Path) -> None:
    """Taking a root out of the settings is no reason to lose what it held."""
    journal = open_journal(tmp_path)
    waiting = ready(journal, "B", at=route("b.mp4"))
    there = tmp_path / waiting.display.lstrip("/")
    there.parent.mkdir(parents=True)
    there.write_bytes(b"0123456789")
    journal.db.execute("UPDATE roots SET path = ?", [f"{tmp_path}{ROOT}"])
    async with JournalWriter(journal) as writer:
        await apply_settings_change(writer, roots=["/elsewhere"])
        assert (await writer.do(Transfers.one, waiting.row_id)).state is State.READY
        there.unlink()
        await apply_settings_change(writer, roots=["/elsewhere"])
        assert (await writer.do(Transfers.one, waiting.row_id)).state is State.GONE

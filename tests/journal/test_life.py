"""The life of a transfer, as the journal tells it."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from sidecar.core.errors import ErrorKind, FatalError, JournalLostError, SidecarError
from sidecar.core.media_facts import MediaFacts
from sidecar.core.model import AssetType, Fingerprint, Observation, Part, PartChecksums, State, StoredObject
from sidecar.core.ops import OpKind, OpOutcome, OpResult, Registration
from sidecar.core.states import Event, IllegalTransitionError, diagram, step
from sidecar.journal.db.connection import Topic
from sidecar.journal.journal import Journal
from sidecar.journal.read.check import check_journal
from sidecar.journal.read.reader import JournalReader
from sidecar.journal.stores.upload_claims import UploadClaims
from sidecar.journal.stores.uploads import Uploads
from sidecar.journal.writer import JournalWriter
from tests.support.clock import ManualClock
from tests.support.journals import (
    ROOT,
    batch,
    claim,
    finish,
    identity,
    instructions,
    open_journal,
    ready,
    route,
    see,
    ship,
    tell,
)

NO_WAY = SidecarError(ErrorKind.INVALID, "no", operation="PutObject", target="k")


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """Open a journal of its own for each test."""
    return open_journal(tmp_path)


def test_a_file_goes_from_seen_to_synced(journal: Journal) -> None:
    """discovered, ready, uploaded, synced: and nothing is owed afterwards."""
    transfer = ready(journal, "A")
    assert ship(journal, transfer) is State.UPLOADED
    tell(journal)
    assert journal.transfers.one(transfer.row_id).state is State.SYNCED
    assert journal.cleanup.claim_cleanup(limit=9, now=1e9) == []


def test_an_unchanged_file_is_no_candidate(journal: Journal) -> None:
    """The same identity again is passed over."""
    ready(journal, "A")
    assert see(journal, 1) is None


def test_a_touched_file_makes_no_version(journal: Journal) -> None:
    """Another mtime with the same bytes is dropped, and remembered."""
    first = ready(journal, "A")
    again = see(journal, 2)
    assert again is not None
    assert finish(journal, again, "A", 2) is None
    assert journal.transfers.find(again.row_id) is None
    assert see(journal, 2) is None
    assert journal.transfers.one(first.row_id).identity == identity(2)


def test_a_b_a_is_three_versions(journal: Journal) -> None:
    """Each was synced before the next came: an older match spares no op."""
    for n, text in enumerate("ABA", start=1):
        transfer = ready(journal, text, n)
        ship(journal, transfer)
        tell(journal)
        assert journal.transfers.one(transfer.row_id).state is State.SYNCED


def test_newer_content_overtakes_what_waits_for_its_upload(journal: Journal) -> None:
    """Only the newest ready content of a slot is shipped."""
    old, new = ready(journal, "A", 1), ready(journal, "B", 2)
    assert journal.transfers.one(old.row_id).state is State.SUPERSEDED
    assert [t.row_id for t in journal.upload_claims.claim_uploads(limit=9, now=0).transfers] == [new.row_id]


def test_the_checksums_of_parts_are_kept_until_the_file_is_sent(tmp_path: Path) -> None:
    """Also over a restart; a file that goes whole has none."""
    journal = open_journal(tmp_path)
    small, candidate = ready(journal, "A"), see(journal, 2, at=route("film.mp4"))
    assert candidate is not None
    parts = PartChecksums(part_bytes=7, checksums=("crc64nvme:rosUhgp5mIg=", "crc64nvme:AAAAAAAAAAA="))
    journal.completion.complete(
        candidate.row_id, Fingerprint(identity=identity(2), checksum="crc64nvme:B", parts=parts)
    )
    journal.close()
    journal = open_journal(tmp_path)
    assert journal.multipart.part_checksums(candidate.row_id) == parts
    assert journal.multipart.part_checksums(small.row_id) is None
    ship(journal, journal.transfers.one(candidate.row_id))
    assert journal.multipart.part_checksums(candidate.row_id) is None


def test_what_a_film_is_reaches_its_op_also_by_way_of_a_restart(tmp_path: Path) -> None:
    """Journaled with its completion; a file that was ready before there was such a column says nothing."""
    journal = open_journal(tmp_path)
    candidate = see(journal, 1)
    assert candidate is not None
    media = MediaFacts(duration_ms=2000, width=64, height=48, frame_rate=29.97, codec="h264")
    journal.completion.complete(
        candidate.row_id, Fingerprint(identity=identity(1), checksum="crc64nvme:A", media=media)
    )
    journal.close()
    journal = open_journal(tmp_path)
    film = journal.transfers.one(candidate.row_id)
    assert film.media == media
    ship(journal, film)
    [op] = [one for one in batch(journal).ops if one.kind == "put"]
    assert op.body["asset"].items() >= media.wire().items()
    journal.db.execute("ALTER TABLE transfers DROP COLUMN media")
    journal.db.execute("DELETE FROM _sqlite_migrations WHERE name = 'media_facts'")
    journal.close()
    assert open_journal(tmp_path).transfers.one(candidate.row_id).media is None


def test_a_file_that_was_ready_in_an_older_journal_has_no_checksums_of_parts(tmp_path: Path) -> None:
    """Its parts are read before they are sent, as they were."""
    journal = open_journal(tmp_path)
    transfer = ready(journal, "A")
    for column in ("checksum_part_bytes", "part_checksums"):
        journal.db.execute(f"ALTER TABLE transfers DROP COLUMN {column}")
    journal.db.execute("DELETE FROM _sqlite_migrations WHERE name = 'part_checksums'")
    journal.close()
    journal = open_journal(tmp_path)
    assert journal.multipart.part_checksums(transfer.row_id) is None
    assert ship(journal, journal.transfers.one(transfer.row_id)) is State.UPLOADED


def test_what_an_overtaken_upload_left_is_a_debt_once_nobody_works_on_it(journal: Journal) -> None:
    """While its worker still sends, an abort would race with it."""
    old = ready(journal, "A", 1)
    journal.upload_claims.claim_uploads(limit=1, now=0)
    journal.multipart.begin_multipart(old.row_id, part_bytes=5)
    journal.multipart.opened(old.row_id, "U1")
    ready(journal, "B", 2)
    assert journal.cleanup.claim_cleanup(limit=9, now=1e9) == []
    part = Part(number=1, size_bytes=5, etag="e", checksum="crc64nvme:x")
    assert journal.multipart.part_stored(old.row_id, part) is False
    journal.upload_claims.release(old.row_id)
    (task,) = journal.cleanup.claim_cleanup(limit=9, now=1e9)
    assert (task.delete_object, task.upload_id, task.key) == (False, "U1", old.key)


def test_a_crash_turns_an_overtaken_lease_into_its_debt(tmp_path: Path) -> None:
    """The worker that would have released it is gone."""
    journal = open_journal(tmp_path)
    old = ready(journal, "A", 1)
    journal.upload_claims.claim_uploads(limit=1, now=0)
    journal.uploads.begin_put(old.row_id)
    ready(journal, "B", 2)
    journal.close()
    journal = open_journal(tmp_path)
    assert [d.delete_object for d in journal.cleanup.claim_cleanup(limit=9, now=0)] == [True]


def test_an_overtaken_transfer_whose_file_is_gone_stays_superseded(journal: Journal) -> None:
    """Its worker finds the file missing: only the lease and the clean-up tasks are left to settle."""
    old = ready(journal, "A", 1)
    journal.upload_claims.claim_uploads(limit=1, now=0)
    journal.uploads.begin_put(old.row_id)
    ready(journal, "B", 2)
    journal.completion.vanish(old.row_id)
    assert journal.transfers.one(old.row_id).state is State.SUPERSEDED
    assert [d.key for d in journal.cleanup.claim_cleanup(limit=9, now=0)] == [old.key]


def test_an_upload_that_ends_after_it_was_overtaken_is_never_announced(journal: Journal) -> None:
    """Its object is owed a deletion instead."""
    old = ready(journal, "A", 1)
    journal.upload_claims.claim_uploads(limit=1, now=0)
    ready(journal, "B", 2)
    journal.uploads.begin_put(old.row_id)
    stored = StoredObject(bucket="lessons", key=old.key, etag="e")
    assert journal.uploads.uploaded(old, stored, url="u") is State.SUPERSEDED
    assert [d.delete_object for d in journal.cleanup.claim_cleanup(limit=9, now=0)] == [True]


def test_an_older_op_that_was_never_sent_is_withdrawn(journal: Journal) -> None:
    """Convex hears of the newest content only; the older object goes."""
    old = ready(journal, "A", 1)
    ship(journal, old)
    new = ready(journal, "B", 2)
    ship(journal, new)
    assert journal.transfers.one(old.row_id).state is State.SUPERSEDED
    puts = [op.body["transfer"] for op in batch(journal).ops if op.kind == "put"]
    assert puts == [new.transfer_id]
    assert [d.key for d in journal.cleanup.claim_cleanup(limit=9, now=0)] == [old.key]


def test_an_older_op_that_may_have_been_applied_is_retried_first(journal: Journal) -> None:
    """One op of a slot is in flight; a sent one is brought to a definite outcome."""
    old = ready(journal, "A", 1)
    ship(journal, old)
    sent = batch(journal)
    ship(journal, ready(journal, "B", 2))
    journal.batches.fail_ops([op.seq for op in sent.ops], NO_WAY, due=0, spent=False)
    again = [op.op_id for op in batch(journal).ops if op.kind == "put"]
    assert again == [op.op_id for op in sent.ops if op.kind == "put"]


def test_one_candidate_at_a_time_however_often_it_is_seen(journal: Journal) -> None:
    """A growing file is one row."""
    first, second = see(journal, 1), see(journal, 2, size=20)
    assert first
    assert second
    assert first.row_id == second.row_id


def test_leases_and_due_times_die_with_the_process(tmp_path: Path) -> None:
    """After a restart everything is claimed again at once."""
    journal = open_journal(tmp_path)
    one, two = ready(journal, "A"), ready(journal, "B", at=route("c2.mp4"))
    assert len(journal.upload_claims.claim_uploads(limit=9, now=0).transfers) == 2
    journal.upload_claims.fail_upload(one.row_id, NO_WAY, due=1e12, spent=True)
    assert journal.upload_claims.claim_uploads(limit=9, now=0).next_due == 1e12
    journal.close()
    journal = open_journal(tmp_path)
    assert {t.row_id for t in journal.upload_claims.claim_uploads(limit=9, now=0).transfers} == {
        one.row_id,
        two.row_id,
    }
    assert journal.transfers.one(one.row_id).failures == 1


def test_a_second_source_of_a_slot_is_refused_until_the_first_is_gone(journal: Journal) -> None:
    """Two listings in a row without the first give the slot free."""
    assert see(journal, path="a/x.mp4") is not None
    other = Observation(root=ROOT, path="b/x.mp4", identity=identity(), route=route())
    assert "a/x.mp4" in (journal.files.observe([other])[0].refused or "")
    journal.files.missing(ROOT, ["a/x.mp4"])
    assert journal.files.observe([other])[0].refused
    journal.files.missing(ROOT, ["a/x.mp4"])
    assert journal.files.observe([other])[0].candidate is not None


def test_a_candidate_that_two_listings_miss_is_gone(journal: Journal) -> None:
    """And the same file coming back is seen as new."""
    seen = see(journal, path="a/x.mp4")
    assert seen is not None
    journal.files.missing(ROOT, ["a/x.mp4"])
    see(journal, path="a/x.mp4")  # it is there after all: the count begins anew
    journal.files.missing(ROOT, ["a/x.mp4"])
    assert journal.transfers.one(seen.row_id).state is State.DISCOVERED
    journal.files.missing(ROOT, ["a/x.mp4"])
    assert journal.transfers.one(seen.row_id).state is State.GONE
    assert see(journal, path="a/x.mp4") is not None


def test_an_abandoned_file_that_changes_is_the_same_transfer_again(journal: Journal) -> None:
    """Until it changes it is left alone."""
    seen = see(journal)
    assert seen is not None
    journal.completion.abandon(seen.row_id, "no moov", identity(1))
    assert see(journal, 1) is None
    again = see(journal, 2)
    assert again is not None
    assert (again.row_id, again.state) == (seen.row_id, State.DISCOVERED)


def test_bytes_that_change_under_an_upload_make_the_file_a_candidate_again(journal: Journal) -> None:
    """What was begun at S3 is a clean-up task, and the new content gets its own transfer id."""
    old = ready(journal, "A")
    journal.upload_claims.claim_uploads(limit=1, now=0)
    journal.uploads.begin_put(old.row_id)
    journal.uploads.content_changed(old.row_id, "changed")
    (candidate,) = journal.completion.candidates()
    assert candidate.transfer_id != old.transfer_id
    assert [d.key for d in journal.cleanup.claim_cleanup(limit=9, now=0)] == [old.key]


def test_dead_letters_go_back_to_where_they_died(journal: Journal) -> None:
    """The op keeps its id and its seq."""
    dead_in_upload = ready(journal, "A")
    journal.upload_claims.claim_uploads(limit=1, now=0)
    journal.uploads.mark_dead(dead_in_upload.row_id, NO_WAY)
    assert journal.transfers.one(dead_in_upload.row_id).state is State.DEAD
    assert journal.repairs.requeue(transfer_id=dead_in_upload.transfer_id) == 1
    ship(journal, dead_in_upload)
    before = [op.op_id for op in batch(journal).ops if op.kind == "put"]
    journal.batches.fail_ops([1, 2, 3, 4], NO_WAY, due=0, spent=False)
    tell(journal, OpOutcome.REJECTED)
    assert journal.transfers.one(dead_in_upload.row_id).state is State.DEAD
    assert journal.repairs.requeue(error_kind="nothing like it") == 0
    assert journal.repairs.requeue() == 1
    assert [op.op_id for op in batch(journal).ops if op.kind == "put"] == before


def test_newer_content_that_is_synced_overtakes_a_dead_letter(journal: Journal) -> None:
    """A requeue must never bring old content back over new."""
    dead = ready(journal, "A", 1)
    journal.upload_claims.claim_uploads(limit=1, now=0)
    journal.uploads.mark_dead(dead.row_id, NO_WAY)
    ship(journal, ready(journal, "B", 2))
    tell(journal)
    assert journal.transfers.one(dead.row_id).state is State.SUPERSEDED


def test_the_same_bytes_again_are_shipped_if_their_transfer_is_dead(journal: Journal) -> None:
    """Touching a file is a way to have it tried again."""
    dead = ready(journal, "A", 1)
    journal.upload_claims.claim_uploads(limit=1, now=0)
    journal.uploads.mark_dead(dead.row_id, NO_WAY)
    assert ready(journal, "A", 2).state is State.READY


def test_facts_wait_for_the_scenes_earlier_ops(journal: Journal) -> None:
    """A player never hears "ready" before the last chunk, however long that one's answer takes."""
    ship(journal, ready(journal, "A"))
    tell(journal)
    ship(journal, ready(journal, "B", 2, at=route("chunk_002.mp4")))
    chunk = batch(journal)
    journal.scenes.mark_scene(
        project_id="demo", session_id="demo/lesson", scene_id="s1", marker="complete", mtime_ns=10**9
    )
    assert [op.kind for op in chunk.ops] == ["put"]
    assert claim(journal) is None
    journal.batches.fail_ops([op.seq for op in chunk.ops], NO_WAY, due=0, spent=False)
    assert [op.kind for op in batch(journal).ops] == ["put"]
    journal.answers.settle(
        [OpResult(op_id=op.op_id, outcome=OpOutcome.APPLIED, version=1) for op in chunk.ops]
    )
    facts = batch(journal)
    assert [(op.kind, op.body["complete"], op.body["owed"]) for op in facts.ops] == [("facts", True, 0)]


def test_new_content_voids_an_older_marker(journal: Journal) -> None:
    """A re-render goes back to uploading."""
    ship(journal, ready(journal, "A", 1))
    journal.scenes.mark_scene(
        project_id="demo", session_id="demo/lesson", scene_id="s1", marker="complete", mtime_ns=1500
    )
    tell(journal)
    ready(journal, "B", 2)
    facts = [op for op in batch(journal).ops if op.kind == "facts"]
    assert [op.body["complete"] for op in facts] == [False]


def test_a_marker_that_counts_is_told_before_its_chunks_are_there(journal: Journal) -> None:
    """How many there will be, once; a re-render takes it back."""
    ship(journal, ready(journal, "A", 1))
    tell(journal)
    journal.scenes.mark_scene(
        project_id="demo", session_id="demo/lesson", scene_id="s1", marker="complete", mtime_ns=1500, chunks=3
    )
    [facts] = batch(journal).ops
    assert (facts.body["complete"], facts.body["expected"]) == (False, 3)
    journal.answers.settle([OpResult(op_id=facts.op_id, outcome=OpOutcome.APPLIED)])
    ready(journal, "B", 2)
    [facts] = [op for op in batch(journal).ops if op.kind == "facts"]
    assert (facts.body["complete"], facts.body["expected"]) == (False, None)


def test_a_sessions_manifest_completes_its_scenes(journal: Journal) -> None:
    """However the two came, the manifest counts if it is newer than the scene."""
    ship(journal, ready(journal, "A", 1))
    tell(journal)
    ship(journal, ready(journal, "M", 5, at=route("manifest.json", kind=AssetType.MANIFEST)))
    bodies = [op.body for op in batch(journal).ops if op.kind == "facts"]
    assert [body["complete"] for body in bodies] == [True]


def test_a_session_that_is_busy_is_not_claimed(journal: Journal) -> None:
    """One call in flight per session."""
    ship(journal, ready(journal, "A"))
    claimed = journal.batches.claim_batches(limit=9, now=0, busy=("demo/lesson",))
    assert (claimed.batches, claimed.due) == ((), None)


def test_acked_seq_stays_below_what_is_unsettled(journal: Journal) -> None:
    """The server may forget only what can never come again."""
    ship(journal, ready(journal, "A"))
    first = batch(journal)
    assert first.acked_seq == min(op.seq for op in first.ops) - 1
    journal.batches.fail_ops([op.seq for op in first.ops], NO_WAY, due=0, spent=False)
    tell(journal)
    assert journal.batches._acked_seq() == journal.batches._last_seq()


def test_a_restored_copy_is_noticed(journal: Journal) -> None:
    """The server has seen ops that this journal never wrote."""
    with pytest.raises(JournalLostError, match="old copy"):
        journal.batches.registered(Registration(epoch=1, last_seq=99, contract_version=1))


def test_a_restored_copy_is_noticed_however_much_it_has_written_since(tmp_path: Path) -> None:
    """Convex was away while it found files: what it gave them are numbers that were given before."""
    journal = open_journal(tmp_path)
    journal.batches.registered(Registration(epoch=1, last_seq=0, contract_version=1))
    ship(journal, ready(journal, "A"))
    last = batch(journal).ops[-1].seq
    ship(journal, ready(journal, "B", at=route("b.mp4")))
    journal.close()
    journal = open_journal(tmp_path)
    assert journal.batches._last_seq() > last
    journal.batches.registered(Registration(epoch=1, last_seq=last, contract_version=1))
    with pytest.raises(JournalLostError, match="old copy"):
        journal.batches.registered(Registration(epoch=1, last_seq=last + 1, contract_version=1))


def test_counts_follow_every_step(tmp_path: Path) -> None:
    """/status reads four numbers, not a million rows."""
    clock = ManualClock()
    journal = open_journal(tmp_path, clock)
    ship(journal, ready(journal, "A"))
    ready(journal, "B", at=route("c2.mp4"))
    see(journal, at=route("c3.mp4"))
    clock.advance(5)
    reader = JournalReader(tmp_path / "journal.db", clock=clock)
    assert reader.counts() == {State.UPLOADED: 1, State.READY: 1, State.DISCOVERED: 1}
    assert reader.backlog() == (2, 20, 5.0)
    tell(journal)
    assert reader.backlog()[0] == 1
    waiting = {(ROOT, State.READY): 1, (ROOT, State.DISCOVERED): 1}
    assert reader.unfinished(root=ROOT, prefix="demo/lesson/s1") == waiting
    assert [t.state for t in reader.unfinished_transfers(session_id="demo/lesson", limit=9)] == [
        State.READY,
        State.DISCOVERED,
    ]


def test_a_second_instance_says_so(tmp_path: Path) -> None:
    """One running instance per journal."""
    open_journal(tmp_path)
    with pytest.raises(FatalError, match="another sidecar") as caught:
        open_journal(tmp_path)
    assert caught.value.exit_status == 75


def test_a_disk_that_fails_while_the_last_life_is_voided_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No traceback, and the journal can be opened again at once."""

    def full(_: UploadClaims) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(UploadClaims, "void_leases", full)
        with pytest.raises(FatalError, match="cannot be opened: database or disk is full"):
            open_journal(tmp_path)
    open_journal(tmp_path)


def test_a_journal_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    """An older program would misread it."""
    journal = open_journal(tmp_path)
    journal.db.execute(
        "INSERT INTO _sqlite_migrations (migration_set, name, applied_at)"
        " VALUES ('render-sidecar', 'later', '')"
    )
    journal.close()
    with pytest.raises(FatalError, match="newer version") as caught:
        open_journal(tmp_path)
    assert caught.value.exit_status == 78


def test_a_file_that_is_no_journal_is_moved_aside_and_kept(tmp_path: Path) -> None:
    """A new journal begins; nothing is overwritten."""
    (tmp_path / "journal.db").write_bytes(b"not a database" * 100)
    journal = open_journal(tmp_path)
    assert journal.db.quarantined is not None
    (aside,) = tmp_path.glob("journal.db.quarantined-*")
    assert aside.read_bytes() == b"not a database" * 100
    assert str(aside) in journal.db.quarantined
    journal.close()
    assert open_journal(tmp_path).db.quarantined is None


def test_sql_and_enum_name_the_same_states(journal: Journal) -> None:
    """The CHECK of the table and the state table agree."""
    sql = journal.db.execute("SELECT sql FROM sqlite_master WHERE name = 'transfers'").fetchone()["sql"]
    assert all(f"'{state}'" in sql for state in State)


def test_an_illegal_step_changes_nothing(journal: Journal) -> None:
    """A bug is loud, and the row is as it was."""
    transfer = ready(journal, "A")
    with pytest.raises(IllegalTransitionError):
        journal.completion.abandon(transfer.row_id, "why")
    assert journal.transfers.one(transfer.row_id).state is State.READY
    with pytest.raises(IllegalTransitionError):
        step(State.SYNCED, Event.UPLOADED)


def test_the_diagram_in_the_docs_is_drawn_from_the_table() -> None:
    """ARCHITECTURE.md shows what the code does."""
    text = Path(__file__).parents[2].joinpath("sidecar/ARCHITECTURE.md").read_text()
    assert diagram() in text


def test_ops_that_wait_out_a_backoff_can_be_hastened(journal: Journal) -> None:
    """The remote takes calls again: nobody waits on."""
    ship(journal, ready(journal, "A"))
    sent = batch(journal)
    journal.batches.fail_ops([op.seq for op in sent.ops], NO_WAY, due=5000.0, spent=False)
    claimed = journal.batches.claim_batches(limit=9, now=0)
    assert (claimed.batches, claimed.due) == ((), 5000.0)
    journal.batches.hasten_ops()
    assert claim(journal, now=0) is not None


def test_a_cancelled_scene_abandons_what_is_not_complete(journal: Journal) -> None:
    """It is owed no more; a late word of its probe changes nothing; a change revives it."""
    seen = see(journal, 1)
    assert seen is not None
    journal.scenes.mark_scene(
        project_id="demo", session_id="demo/lesson", scene_id="s1", marker="cancelled", mtime_ns=10**9
    )
    assert journal.transfers.one(seen.row_id).state is State.ABANDONED
    assert journal.completion.candidates() == []
    assert finish(journal, seen, "A", 1) is State.ABANDONED
    assert see(journal, 1) is None
    again = see(journal, 2)
    assert again is not None
    assert again.row_id == seen.row_id


def test_a_marker_that_is_listed_again_cancels_no_re_render(journal: Journal) -> None:
    """Every full listing shows the old marker; it counted when it was new."""
    cancelled = {"project_id": "demo", "session_id": "demo/lesson", "scene_id": "s1", "mtime_ns": 10**9}
    journal.scenes.mark_scene(marker="cancelled", **cancelled)  # type: ignore[arg-type]
    seen = see(journal, 1)
    assert seen is not None
    journal.scenes.mark_scene(marker="cancelled", **cancelled)  # type: ignore[arg-type]
    assert finish(journal, seen, "A", 1) is State.READY


def test_nothing_is_claimed_of_a_root_that_is_not_ours(journal: Journal) -> None:
    """Neither an upload nor an op nor a scene's facts, until it is ours; then whoever waits is woken."""
    uploaded = ready(journal, "A", at=route("one.mp4"))
    ship(journal, uploaded)
    waiting = ready(journal, "B", at=route("two.mp4"))
    journal.roots.block_roots([ROOT, "/elsewhere"])
    assert journal.upload_claims.claim_uploads(limit=9, now=0).transfers == ()
    assert claim(journal, now=0) is None
    journal.db.topics.clear()
    journal.roots.unblock_root(ROOT)
    assert {Topic.UPLOADS, Topic.OUTBOX} <= journal.db.topics
    assert [
        transfer.row_id for transfer in journal.upload_claims.claim_uploads(limit=9, now=0).transfers
    ] == [waiting.row_id]
    assert OpKind.PUT in {op.kind for op in batch(journal).ops}


def test_facts_of_a_scene_that_lies_in_two_roots_are_told_by_whoever_has_one(journal: Journal) -> None:
    """Who watches the other root knows nothing of what is here."""
    ready(journal, "A", at=route("one.mp4"))
    there = Observation(
        root="/elsewhere", path="demo/lesson/s1/two.mp4", identity=identity(2), route=route("two.mp4")
    )
    journal.files.observe([there])
    journal.roots.block_roots([ROOT, "/elsewhere"])
    assert claim(journal, now=0) is None
    journal.roots.unblock_root(ROOT)
    assert [op.kind for op in batch(journal).ops] == [OpKind.FACTS]


def test_what_is_begun_is_finished_first(journal: Journal) -> None:
    """Of equal priority, however old the others are: half a film is of no use to anybody.

    One that was opened, and of which nothing was sent, is not begun.
    """
    film = see(journal, at=route("a_long_film.mp4"))
    assert film is not None
    begun = [ready(journal, f"{n}", at=route(f"{n}.mp4")) for n in range(2)]
    journal.upload_claims.claim_uploads(limit=2, now=0)
    for one in begun:
        journal.multipart.begin_multipart(one.row_id, part_bytes=5)
    journal.multipart.part_stored(
        begun[1].row_id, Part(number=1, size_bytes=5, etag="e", checksum="crc64nvme:x")
    )
    error = SidecarError(ErrorKind.NETWORK, "reset", operation="put part", target="k")
    for one in begun:
        journal.upload_claims.fail_upload(one.row_id, error, due=1.0, spent=False)
    assert finish(journal, film, "F") is State.READY
    first = replace(route("still.png", kind=AssetType.THUMBNAIL), priority=0)
    small = ready(journal, "T", at=first)
    wanted = [small.row_id, begun[1].row_id, film.row_id, begun[0].row_id]
    assert [one.row_id for one in journal.upload_claims.claim_uploads(limit=3, now=2.0).transfers] == wanted[
        :3
    ]
    assert [one.row_id for one in journal.upload_claims.claim_uploads(limit=3, now=2.0).transfers] == wanted[
        3:
    ]


@pytest.mark.parametrize("is_begun", [False, True])
def test_a_claim_walks_no_table(journal: Journal, *, is_begun: bool) -> None:
    """One step in an index, and one more where an upload is begun, however many files wait."""
    if is_begun:
        film = ready(journal, "A")
        journal.multipart.begin_multipart(film.row_id, part_bytes=5)
    statements: list[str] = []
    journal.db.conn.set_trace_callback(statements.append)
    journal.upload_claims.claim_uploads(limit=1, now=2.0)
    journal.db.conn.set_trace_callback(None)
    asked = [text for text in statements if text.lstrip().startswith("SELECT")]
    plan = [row["detail"] for text in asked for row in journal.db.execute(f"EXPLAIN QUERY PLAN {text}")]
    assert sum("SEARCH t USING INDEX uploads_begun" in step for step in plan) == is_begun
    assert sum("SEARCH t USING INDEX uploads_waiting" in step for step in plan) == 1
    assert not [step for step in plan if step.startswith("SCAN t") and "INDEX" not in step]


def test_a_transaction_reports_a_scene_once_for_all_that_it_did(journal: Journal) -> None:
    """However many of its files took a step: the facts are those at the transaction's end."""
    transfers = [ready(journal, name, at=route(f"{name}.mp4")) for name in "AB"]
    journal.db.execute("DELETE FROM outbox")
    with journal.db.atomic():
        for transfer in transfers:
            journal.uploads.mark_dead(transfer.row_id, NO_WAY)
    rows = journal.db.execute("SELECT kind, body FROM outbox").fetchall()
    assert [(row["kind"], json.loads(row["body"])["error"][:1]) for row in rows] == [("facts", "2")]


def test_news_of_a_recalled_scene_count_in_their_transaction(journal: Journal) -> None:
    """Bytes are about to be sent: from here on all is reported, also if nothing else ever happens."""
    transfer = ready(journal, "A")
    journal.db.execute("UPDATE scenes SET recalled = 1, reported = NULL")
    journal.db.may_recall = True  # as whoever recalls a scene says
    journal.db.execute("DELETE FROM outbox")
    journal.uploads.begin_put(transfer.row_id)
    assert [op.kind for op in batch(journal).ops] == [OpKind.FACTS]


def test_a_recall_whose_end_was_rolled_back_goes_on(journal: Journal) -> None:
    """What a transaction found that failed is not so: news of the scene count as before."""
    transfer = ready(journal, "A")
    journal.db.execute("UPDATE scenes SET recalled = 1, reported = NULL")
    journal.db.execute("DELETE FROM outbox")
    journal.db.may_recall = True

    def fail() -> None:
        with journal.db.atomic():
            for _ in range(2):  # ended, and looked for once more
                journal.uploads.begin_put(transfer.row_id)
                journal.db.write_gathered()
            raise ValueError("at its end")

    with pytest.raises(ValueError, match="at its end"):
        fail()
    journal.uploads.begin_put(transfer.row_id)
    assert [op.kind for op in batch(journal).ops] == [OpKind.FACTS]


def test_a_manifest_completes_all_scenes_of_its_session(journal: Journal) -> None:
    """One file's transaction touches them all, and what is to be told of each is in the outbox with it."""
    for scene in ("s1", "s2", "s3"):
        ship(journal, ready(journal, scene, at=route(scene=scene)))
    tell(journal)
    ready(journal, "M", 5, at=route("manifest.json", kind=AssetType.MANIFEST))
    rows = journal.db.execute("SELECT scene_id, body FROM outbox WHERE kind = 'facts'").fetchall()
    assert [(row["scene_id"], json.loads(row["body"])["complete"]) for row in rows] == [
        (scene, True) for scene in ("s1", "s2", "s3")
    ]


def test_an_answer_that_came_twice_hurts_none_of_its_batch(journal: Journal) -> None:
    """What was settled before is passed over, and each of the others has its own outcome."""
    transfers = []
    for name in "ABC":
        transfers.append(ready(journal, name, at=route(f"{name}.mp4")))
        ship(journal, transfers[-1])
    ops = [op for op in batch(journal).ops if op.kind == "put"]
    outcomes = [OpOutcome.APPLIED, OpOutcome.REJECTED, OpOutcome.APPLIED]
    results = [OpResult(op_id=op.op_id, outcome=one) for op, one in zip(ops, outcomes, strict=True)]
    journal.answers.settle(results[:1])
    journal.answers.settle([results[0], results[0], *results[1:]])
    states = [journal.transfers.one(transfer.row_id).state for transfer in transfers]
    assert states == [State.SYNCED, State.DEAD, State.SYNCED]


def test_of_two_files_of_one_slot_in_one_listing_the_second_is_refused(journal: Journal) -> None:
    """What is asked at once for all of a listing does not know what the listing itself brings."""
    seen = [
        Observation(root=ROOT, path=path, identity=identity(), route=route())
        for path in ("a/chunk_001.mp4", "b/chunk_001.mp4", "a/chunk_001.mp4")
    ]
    first, second, again = journal.files.observe(seen)
    assert first.candidate is not None
    assert second.candidate is None
    assert "a/chunk_001.mp4" in (second.refused or "")
    assert again.candidate == journal.transfers.one(first.candidate.row_id)


def test_all_content_that_arrives_in_a_transaction_ends_the_quiet_and_counts(journal: Journal) -> None:
    """Whoever waits for the quiet began to wait before the last of it came."""
    ready(journal, "A")
    journal.scenes.quiet_scene("demo/lesson", "s1", change=1)
    assert journal.scenes.open_scenes() == []
    with journal.db.atomic():
        for name in "BC":
            ready(journal, name, 5, at=route(f"{name}.mp4"))
    assert [scene.change for scene in journal.scenes.open_scenes()] == [3]
    journal.scenes.quiet_scene("demo/lesson", "s1", change=2)
    assert len(journal.scenes.open_scenes()) == 1


def test_an_intent_is_known_to_whoever_reads_it_in_the_same_transaction(tmp_path: Path) -> None:
    """A cancelled upload gives its lease back in the group of its intent: nothing is overlooked."""
    journal = open_journal(tmp_path)
    old = ready(journal, "A", 1)
    journal.upload_claims.claim_uploads(limit=1, now=0.0)
    ready(journal, "B", 2)
    with journal.db.atomic():
        journal.uploads.begin_put(old.row_id)
        journal.upload_claims.release(old.row_id)
    [task] = journal.cleanup.claim_cleanup(limit=9, now=0.0)
    assert (task.key, task.delete_object) == (old.key, True)
    assert check_journal(journal.db.path).findings == ()


async def test_an_intent_without_a_transfer_fails_alone(tmp_path: Path) -> None:
    """Nothing is sent of which the journal does not know; its neighbours' intents are on disk."""
    journal = open_journal(tmp_path)
    known = ready(journal, "A")
    async with JournalWriter(journal) as writer:
        calls = (writer.do(Uploads.begin_put, row_id) for row_id in (known.row_id, 999))
        good, bad = await asyncio.gather(*calls, return_exceptions=True)
        assert good is None
        assert isinstance(bad, LookupError)
        assert journal.transfers.one(known.row_id).may_object


def test_a_step_costs_the_same_however_many_files_there_are(tmp_path: Path) -> None:
    """Counted, not timed: a table that is walked over shows."""
    journal = open_journal(tmp_path)

    def way(name: str) -> int:
        def work() -> None:
            ship(journal, ready(journal, "A", at=route(name)))
            tell(journal)

        return instructions(journal, work)

    way("first.mp4")  # a scene's first file makes more of it
    few = way("few.mp4")
    for n in range(300):
        ready(journal, str(n), at=route(f"{n}.mp4", scene=f"other{n // 100}"))
    journal.upload_claims.claim_uploads(limit=300, now=0.0)
    tell(journal)  # the facts of the other scenes
    assert way("many.mp4") < 1.2 * few

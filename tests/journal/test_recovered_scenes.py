"""A new journal unsays nothing: what Convex shows of a scene stays until something new comes to it."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from sidecar.core.model import AssetType, KnownContent, Route, State, StoredObject, Transfer
from sidecar.core.ops import OpOutcome, OpResult, Registration, ReportedScene
from sidecar.core.scenes import SceneFacts
from sidecar.journal import writer as writing
from sidecar.journal.journal import Journal
from sidecar.journal.read.check import check_journal
from sidecar.journal.stores.recovery import SCENES_AT_ONCE, Recovery
from sidecar.journal.writer import JournalWriter
from tests.support.journals import claim, finish, identity, noted, open_journal, ready, route, see, ship, tell

from .test_writer import failure

KNOWN = KnownContent(key="old/key.01OLD", transfer="01OLD", version=4)
PUT = "put"
Facts = tuple[bool, bool, str | None]  # complete, owed, error
UPLOADING: Facts = (False, True, None)
READY: Facts = (True, False, None)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """Open a new journal as the daemon does."""
    journal = open_journal(tmp_path)
    journal.recovery.begin_recovery()
    return journal


def mark(
    journal: Journal, marker: str, mtime_ns: int, *, chunks: int | None = None, scene: str = "s1"
) -> None:
    """Show a scene's marker."""
    journal.scenes.mark_scene(
        project_id="demo",
        session_id="demo/lesson",
        scene_id=scene,
        marker=marker,
        mtime_ns=mtime_ns,
        chunks=chunks,
    )


def adopt(journal: Journal, transfer: Transfer) -> None:
    """Let Convex and S3 know the content."""
    known = KnownContent(key=f"old/{transfer.row_id}", transfer=f"01OLD{transfer.row_id}", version=1)
    journal.lookups.end_lookups({transfer.row_id: known})
    assert transfer.row_id in {
        claimed.row_id for claimed in journal.upload_claims.claim_uploads(limit=9, now=1e9).transfers
    }
    journal.lookups.take_over_key(transfer.row_id, known)
    stored = StoredObject(bucket="lessons", key=f"old/{transfer.row_id}", etag="e")
    assert journal.lookups.adopt(transfer.row_id, stored) is State.SYNCED


def adopted(journal: Journal, text: str = "A", n: int = 1, *, at: Route | None = None) -> Transfer:
    """Find a file that was synced by the journal before."""
    transfer = ready(journal, text, n, at=at)
    adopt(journal, transfer)
    return transfer


def told(journal: Journal, outcome: OpOutcome = OpOutcome.APPLIED) -> list[Facts]:
    """Tell Convex what it is owed; return what it heard of scenes."""
    heard: list[Facts] = []
    while (batch := claim(journal)) is not None:
        bodies: list[Any] = [op.body for op in batch.ops if op.kind == "facts"]
        heard += [(body["complete"], bool(body["owed"]), body["error"]) for body in bodies]
        journal.answers.settle(
            [
                OpResult(op_id=op.op_id, outcome=outcome if op.kind == PUT else OpOutcome.APPLIED, version=1)
                for op in batch.ops
            ]
        )
    return heard


def be_quiet(journal: Journal) -> None:
    """Nothing came for complete_after."""
    for scene in journal.scenes.open_scenes():
        journal.scenes.quiet_scene(scene.session_id, scene.scene_id, change=scene.change)


# -- nothing new -----------------------------------------------------------------------------------


@pytest.mark.parametrize("is_scanned_first", [False, True])
def test_a_known_scene_is_not_unsaid_and_complete_after_its_quiet(
    journal: Journal, *, is_scanned_first: bool
) -> None:
    """Whether its files are known before or after the first scan is over."""
    transfer = ready(journal, "A")
    if is_scanned_first:
        journal.recovery.end_recovery()
    adopt(journal, transfer)
    journal.recovery.end_recovery()
    assert told(journal) == []
    be_quiet(journal)
    assert told(journal) == [READY]


def test_what_is_still_looked_for_is_not_owed_aloud(journal: Journal) -> None:
    """S3 is away, say: complete, but not settled yet."""
    transfer = ready(journal, "A")
    mark(journal, "complete", 5000)
    journal.recovery.end_recovery()
    be_quiet(journal)
    assert told(journal) == []
    adopt(journal, transfer)
    assert told(journal) == [READY]


@pytest.mark.parametrize("is_scanned_first", [False, True])
def test_a_marker_counts_again_once_all_is_known(journal: Journal, *, is_scanned_first: bool) -> None:
    """It is read in the first scan; quiet is not waited for."""
    mark(journal, "complete", 5000)
    transfer = ready(journal, "A")
    if is_scanned_first:
        journal.recovery.end_recovery()
    adopt(journal, transfer)
    journal.recovery.end_recovery()
    assert told(journal) == [READY]


def test_a_manifest_counts_again_once_all_is_known(journal: Journal) -> None:
    """As a marker does."""
    adopted(journal)
    adopted(journal, "M", 5, at=route("manifest.json", kind=AssetType.MANIFEST))
    journal.recovery.end_recovery()
    assert told(journal) == [READY]


def test_an_old_marker_says_nothing_before_the_content_that_voids_it(journal: Journal) -> None:
    """It was rendered again since, and quiet completed it: neither complete, nor no more."""
    mark(journal, "complete", 500)
    assert told(journal) == []
    adopted(journal)
    journal.recovery.end_recovery()
    assert told(journal) == []


def test_chunks_that_are_not_here_any_more_are_not_missed(journal: Journal) -> None:
    """Local files were deleted after they were synced: the new journal cannot count them."""
    mark(journal, "complete", 5000, chunks=3)
    adopted(journal)
    journal.recovery.end_recovery()
    be_quiet(journal)
    assert told(journal) == []


def test_a_restart_changes_nothing(journal: Journal, tmp_path: Path) -> None:
    """The first life of the new journal was short: its second one reads the markers again."""
    mark(journal, "complete", 5000, chunks=3)
    adopted(journal)
    journal.recovery.end_recovery()
    journal.close()
    again = open_journal(tmp_path)
    again.recovery.begin_recovery()
    mark(again, "complete", 5000, chunks=3)
    again.recovery.end_recovery()
    assert told(again) == []


def test_all_scenes_with_markers_are_told_however_many(journal: Journal) -> None:
    """A few in each transaction."""
    count = SCENES_AT_ONCE + 20
    for n in range(count):
        adopted(journal, f"A{n}", at=route(scene=f"s{n}"))
        mark(journal, "complete", 5000, scene=f"s{n}")
    after = journal.recovery.end_recovery()
    assert after is not None
    assert journal.recovery.end_recovery(after=after) is None
    assert told(journal) == [READY] * count


# -- something is wrong ----------------------------------------------------------------------------


def test_a_cancelled_scene_is_cancelled_again_and_its_files_are_known(journal: Journal) -> None:
    """Nobody has looked at them when the marker is read: they are not abandoned unread."""
    seen = see(journal)
    assert seen is not None
    mark(journal, "cancelled", 5000)
    journal.recovery.end_recovery()
    assert told(journal) == []
    assert finish(journal, seen, "A") is State.READY
    adopt(journal, journal.transfers.one(seen.row_id))
    assert told(journal) == [(False, True, "Rendering of this scene was cancelled.")]


def test_what_a_cancelled_scene_left_incomplete_is_abandoned(journal: Journal) -> None:
    """If it is older than the marker; what is younger belongs to another rendering."""
    torn, younger = see(journal), see(journal, at=route("chunk_002.mp4"))
    assert torn is not None
    assert younger is not None
    assert journal.recovery.abandon_if_cancelled(torn.row_id, identity(5)) is False
    mark(journal, "cancelled", 5000)
    assert journal.recovery.abandon_if_cancelled(torn.row_id, identity(5)) is True
    assert journal.recovery.abandon_if_cancelled(younger.row_id, identity(6)) is False
    journal.recovery.end_recovery()
    assert told(journal) == []
    assert [row.row_id for row in journal.completion.candidates()] == [younger.row_id]
    assert see(journal, 5) is None
    journal.completion.abandon(younger.row_id, "no end mark")
    assert told(journal) == [(False, True, "Rendering of this scene was cancelled.")]
    assert check_journal(journal.db.path).findings == ()


def test_a_video_that_nobody_finishes_is_an_error_again(journal: Journal) -> None:
    """As it was before; when it is finished after all, that is told, too."""
    adopted(journal)
    torn = see(journal, at=route("chunk_002.mp4"))
    assert torn is not None
    journal.recovery.end_recovery()
    assert told(journal) == []
    journal.completion.abandon(torn.row_id, "no end mark")
    ((_, _, error),) = told(journal)
    assert error == "A video of this scene was never finished: its renderer stopped in the middle."
    see(journal, 2, at=route("chunk_002.mp4"))
    see(journal, 3, at=route("chunk_002.mp4"))
    assert told(journal) == [UPLOADING]


# -- something is new ------------------------------------------------------------------------------


def test_other_content_than_convex_shows_is_told_at_once(journal: Journal) -> None:
    """It was written while nobody looked."""
    transfer = ready(journal, "B")
    journal.recovery.end_recovery()
    assert told(journal) == []
    journal.lookups.end_lookups({transfer.row_id: KnownContent()})
    assert told(journal) == [UPLOADING]


def test_a_first_journals_content_is_told_at_once(journal: Journal) -> None:
    """Also where Convex could not be asked: nothing can be known."""
    transfer = ready(journal, "A")
    journal.lookups.end_lookups({transfer.row_id: None}, asked=False)
    journal.recovery.end_recovery()
    assert told(journal) == [UPLOADING]


def test_what_is_seen_after_the_first_scan_is_told_at_once(journal: Journal) -> None:
    """Before it is complete."""
    adopted(journal)
    journal.recovery.end_recovery()
    see(journal, at=route("chunk_002.mp4"))
    assert told(journal) == [UPLOADING]


def test_what_somebody_is_seen_writing_is_told_at_once(journal: Journal) -> None:
    """Whatever Convex knows of it."""
    growing = see(journal)
    assert growing is not None
    journal.recovery.candidate_written(growing.row_id)
    assert told(journal) == [UPLOADING]


def test_a_new_scene_is_told_as_ever(journal: Journal) -> None:
    """Only what the first scan found is recalled."""
    journal.recovery.end_recovery()
    see(journal)
    assert told(journal) == [UPLOADING]


@pytest.mark.parametrize("is_multipart", [False, True])
def test_what_s3_has_lost_is_told_when_it_is_sent(journal: Journal, *, is_multipart: bool) -> None:
    """Convex shows it, and players cannot have it."""
    transfer = ready(journal, "A")
    journal.lookups.end_lookups({transfer.row_id: KNOWN})
    journal.upload_claims.claim_uploads(limit=1, now=0)
    journal.recovery.end_recovery()
    if is_multipart:
        journal.multipart.begin_multipart(transfer.row_id, part_bytes=5)
    else:
        journal.uploads.begin_put(transfer.row_id)
    assert told(journal) == [UPLOADING]


@pytest.mark.parametrize(("outcome", "heard"), [(OpOutcome.UNCHANGED, []), (OpOutcome.APPLIED, [UPLOADING])])
def test_without_convex_its_later_answer_decides(
    journal: Journal, outcome: OpOutcome, heard: list[Facts]
) -> None:
    """It was away; S3 was searched, and has it: the op tells whether Convex knew."""
    transfer = ready(journal, "A")
    journal.lookups.end_lookups({transfer.row_id: KnownContent()}, asked=False)
    journal.upload_claims.claim_uploads(limit=1, now=0)
    journal.recovery.end_recovery()
    stored = StoredObject(bucket="lessons", key=transfer.key, etag="e")
    journal.uploads.uploaded(transfer, stored, url="https://cdn.example/a")
    assert told(journal, outcome) == heard
    be_quiet(journal)
    assert told(journal) == [READY]


def test_once_something_was_told_all_is_told(journal: Journal) -> None:
    """This journal has completed the scene; then it is rendered again."""
    adopted(journal)
    journal.recovery.end_recovery()
    be_quiet(journal)
    assert told(journal) == [READY]
    new = ready(journal, "B", 2)
    assert told(journal) == [UPLOADING]
    ship(journal, new)
    tell(journal)
    be_quiet(journal)
    assert told(journal) == [READY]


# -- what the lost journal left unfinished ---------------------------------------------------------


def unfinished(scene: str, *, complete: bool = False) -> ReportedScene:
    """Return what Convex says of a scene of which something is owed."""
    facts = SceneFacts(complete=complete, owed=1, error=None, reason="marker" if complete else None)
    return ReportedScene(project_id="demo", session_id="demo/lesson", scene_id=scene, facts=facts)


def test_a_scene_of_which_nothing_is_left_ends_after_its_quiet(journal: Journal) -> None:
    """Nothing is said before; the question is asked once, over restarts, until its last page."""
    assert not journal.recovery.has_scenes_to_recover()
    journal.recovery.end_recovery()
    assert journal.recovery.has_scenes_to_recover()
    journal.recovery.recover_scenes([unfinished("gone")], is_last=False)
    assert journal.recovery.has_scenes_to_recover()
    journal.recovery.recover_scenes([unfinished("gone"), unfinished("marked", complete=True)], is_last=True)
    assert not journal.recovery.has_scenes_to_recover()
    assert told(journal) == []
    be_quiet(journal)
    assert told(journal) == [READY, READY]


def test_a_scene_that_was_found_goes_on_as_found(journal: Journal) -> None:
    """What Convex shows of it already is not told again; its end is."""
    transfer = ready(journal, "A", at=route(scene="s1"))
    journal.recovery.end_recovery()
    journal.recovery.recover_scenes([unfinished("s1")], is_last=True)
    journal.lookups.end_lookups({transfer.row_id: None})
    assert told(journal) == []
    ship(journal, journal.transfers.one(transfer.row_id))
    be_quiet(journal)
    assert told(journal)[-1] == READY


def test_what_this_journal_told_is_newer(journal: Journal) -> None:
    """The answer may have been on its way while the scene became complete."""
    transfer = ready(journal, "A", at=route(scene="s1"))
    journal.recovery.end_recovery()
    journal.lookups.end_lookups({transfer.row_id: None})
    ship(journal, transfer)
    be_quiet(journal)
    assert told(journal)[-1] == READY
    journal.recovery.recover_scenes([unfinished("s1")], is_last=True)
    assert told(journal) == []


def test_files_that_come_to_a_scene_that_was_taken_up_are_owed_aloud(journal: Journal) -> None:
    """It is told as ever from then on."""
    journal.recovery.end_recovery()
    journal.recovery.recover_scenes([unfinished("s1", complete=True)], is_last=True)
    ship(journal, ready(journal, "A", at=route(scene="s1")))
    assert told(journal) == [UPLOADING]


# -- chunks that nobody can count any more ---------------------------------------------------------


@pytest.mark.parametrize("is_quiet_first", [False, True], ids=("registered", "quiet"))
@pytest.mark.parametrize(("epoch", "last"), [(1, UPLOADING), (2, READY)], ids=("first", "second"))
def test_a_chunk_that_a_lost_journal_delivered_is_not_waited_for(
    journal: Journal, epoch: int, last: Facts, *, is_quiet_first: bool
) -> None:
    """It may have been deleted here after it was synced. Only a sidecar's first journal can count."""
    registration = Registration(epoch=epoch, last_seq=0, contract_version=1)
    journal.recovery.end_recovery()
    ship(journal, ready(journal, "A"))
    mark(journal, "complete", 5000, chunks=2)
    if is_quiet_first:
        be_quiet(journal)
        journal.batches.registered(registration)
    else:
        journal.batches.registered(registration)
        be_quiet(journal)
    assert told(journal)[-1] == last


async def test_the_question_stands_although_the_disk_was_full_when_it_was_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The transaction that ends the first scan is made once more."""
    monkeypatch.setattr(writing, "RETRY_SECONDS", 0.01)
    failures = [failure("database or disk is full", sqlite3.SQLITE_FULL)]

    def fail(_: Journal) -> None:
        if failures:
            raise failures.pop()

    async with JournalWriter(open_journal(tmp_path)) as writer:
        await writer.do(Recovery.begin_recovery)
        await asyncio.gather(writer.do(Recovery.end_recovery), writer.run(fail))
        assert not failures
        assert await writer.do(Recovery.has_scenes_to_recover)
        assert await writer.run(noted, "scanned") == "1"

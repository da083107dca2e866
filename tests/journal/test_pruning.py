"""What the journal forgets, when, and what it never forgets."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from sidecar.core.entities import Named
from sidecar.core.errors import ErrorKind, SidecarError
from sidecar.core.model import AssetType, State, Transfer
from sidecar.core.ops import OpOutcome, ReportedScene
from sidecar.core.scenes import SceneFacts
from sidecar.journal.journal import Journal
from sidecar.journal.stores.pruning import EVENTS_MAX
from sidecar.journal.stores.scene_pruning import COUNTED_SCENES_KEEP
from tests.support.clock import ManualClock
from tests.support.journals import ROOT, finish, noted, open_journal, ready, route, see, ship, tell

DAY = 86_400.0
KEEP_MS = int(30 * DAY * 1000)


class Desk:
    """A journal, its clock, and the usual file's way in a word."""

    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock()
        self.journal = open_journal(folder, self.clock)

    def synced(self, text: str, n: int = 1, name: str = "chunk_001.mp4") -> Transfer:
        """Bring content of a file to synced."""
        transfer = ready(self.journal, text, n, at=route(name))
        ship(self.journal, transfer)
        tell(self.journal)
        return self.journal.transfers.one(transfer.row_id)

    def missing(self, *transfers: Transfer, times: int = 2) -> None:
        """List without these files."""
        for _ in range(times):
            self.journal.files.missing(ROOT, [transfer.path for transfer in transfers])

    def after(self, days: float) -> set[int]:
        """Let days pass, and prune; return the rows that are left."""
        self.clock.advance(days * DAY)
        while self.journal.pruning.prune_transfers(now_ms=self.clock.wall, keep_ms=KEEP_MS):
            pass
        return {row["id"] for row in self.journal.db.execute("SELECT id FROM transfers")}

    def prune_events(self, days: float) -> int:
        """Prune events of so many days; return how many went."""
        return self.journal.pruning.prune_events(now_ms=self.clock.wall, keep_ms=int(days * DAY * 1000))

    def prune_scenes(self, days: float) -> list[str]:
        """Let days pass, and prune scenes twice: found without files, found so for long."""
        self.journal.scene_pruning.prune_scenes(after=("", ""), now_ms=self.clock.wall, keep_ms=KEEP_MS)
        self.clock.advance(days * DAY)
        self.journal.scene_pruning.prune_scenes(after=("", ""), now_ms=self.clock.wall, keep_ms=KEEP_MS)
        self.journal.scene_pruning.prune_sessions(after="")
        return [row["scene_id"] for row in self.journal.db.execute("SELECT scene_id FROM scenes")]

    def rows(self, table: str) -> int:
        """Count."""
        return int(self.journal.db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608 - our tables


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Open an empty journal."""
    return Desk(tmp_path)


def test_a_version_that_was_replaced_is_forgotten_and_the_newest_stays(desk: Desk) -> None:
    """Its age counts from when the newer one was acknowledged, not from its own."""
    first = desk.synced("A")
    assert desk.after(60) == {first.row_id}
    second = desk.synced("B", 2)
    assert desk.after(29) == {first.row_id, second.row_id}
    assert desk.after(2) == {second.row_id}
    assert desk.after(1000) == {second.row_id}
    assert see(desk.journal, 2) is None, "the file is known as ever"


def test_a_file_that_is_gone_is_forgotten_with_its_row(desk: Desk) -> None:
    """Counted from the second listing that did not show it; then it is a new file if it comes back."""
    gone, stays = desk.synced("A"), desk.synced("B", name="chunk_002.mp4")
    desk.missing(gone, times=1)
    assert desk.after(60) == {gone.row_id, stays.row_id}
    desk.missing(gone, times=1)
    assert desk.after(29) == {gone.row_id, stays.row_id}
    assert desk.after(2) == {stays.row_id}
    assert desk.rows("files") == 1
    again = see(desk.journal, 1)
    assert again is not None
    assert again.row_id not in {gone.row_id, stays.row_id}


def test_a_file_that_comes_back_in_time_is_not_forgotten(desk: Desk) -> None:
    """The same bytes: no new transfer, and its age begins anew when it goes again."""
    transfer = desk.synced("A")
    desk.missing(transfer)
    assert desk.after(20) == {transfer.row_id}
    assert see(desk.journal, 1) is None
    assert desk.after(60) == {transfer.row_id}
    desk.missing(transfer)
    assert desk.after(29) == {transfer.row_id}
    assert desk.after(2) == set()


def test_a_slot_whose_file_was_moved_is_not_forgotten(desk: Desk) -> None:
    """The old place is empty, and the row is the new one's now."""
    transfer = desk.synced("A")
    desk.missing(transfer)
    moved = see(desk.journal, 1, path="demo/lesson/moved/chunk_001.mp4")
    assert moved is not None
    assert finish(desk.journal, moved, "A") is None
    assert desk.after(60) == {transfer.row_id}


def test_what_the_sidecar_deleted_itself_is_forgotten_too(desk: Desk) -> None:
    """Not while the deletion has only begun: it may be taken back."""
    transfer = desk.synced("A")
    assert desk.journal.local_deletion.begin_deletion(transfer.row_id)
    assert desk.after(60) == {transfer.row_id}
    desk.journal.local_deletion.deleted(transfer.row_id)
    assert desk.after(29) == {transfer.row_id}
    assert desk.after(2) == set()
    assert desk.rows("files") == 0


def test_a_file_that_was_gone_before_it_was_acknowledged_is_forgotten(desk: Desk) -> None:
    """Nothing else would tell its age."""
    transfer = ready(desk.journal, "A")
    ship(desk.journal, transfer)
    desk.missing(transfer)
    assert desk.after(60) == {transfer.row_id}
    tell(desk.journal)
    assert desk.after(29) == {transfer.row_id}
    assert desk.after(2) == set()


def test_what_is_superseded_or_gone_is_forgotten_once_its_debts_are_paid(desk: Desk) -> None:
    """An object or an upload that may be left at S3 is still its row's."""
    journal = desk.journal
    sent = ready(journal, "A")
    journal.upload_claims.claim_uploads(limit=9, now=0.0)
    journal.uploads.begin_put(sent.row_id)
    newer = ready(journal, "B", 2)
    assert journal.transfers.one(sent.row_id).state is State.SUPERSEDED
    assert desk.after(60) == {sent.row_id, newer.row_id}, "a worker still holds it"
    journal.upload_claims.release(sent.row_id)
    [task] = journal.cleanup.claim_cleanup(limit=9, now=1e9)
    assert desk.after(60) == {sent.row_id, newer.row_id}, "its object may be there"
    journal.cleanup.complete_cleanup(task.id)
    journal.completion.vanish(newer.row_id)
    assert desk.after(60) == set()


def test_what_is_owed_or_dead_is_never_forgotten(desk: Desk) -> None:
    """However old, and whether its file is still here or not."""
    journal = desk.journal
    error = SidecarError(ErrorKind.INVALID, "no", operation="put", target="k")
    dead = ready(journal, "A", at=route("dead.mp4"))
    journal.upload_claims.claim_uploads(limit=9, now=0.0)
    journal.uploads.mark_dead(dead.row_id, error)
    refused = ready(journal, "B", at=route("refused.mp4"))
    ship(journal, refused)
    tell(journal, OpOutcome.REJECTED)
    untold = ready(journal, "C", at=route("untold.mp4"))
    ship(journal, untold)
    waiting = ready(journal, "D", at=route("waiting.mp4"))
    torn = see(journal, at=route("torn.mp4"))
    assert torn is not None
    journal.completion.abandon(torn.row_id, "nobody writes it")
    desk.missing(dead, refused, untold, waiting)
    assert desk.after(1000) == {dead.row_id, refused.row_id, untold.row_id, waiting.row_id, torn.row_id}
    assert journal.repairs.requeue() == 2


def test_a_step_is_bounded_by_its_time(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many rows are over: the next step goes on."""
    for n in range(5):
        desk.synced(f"v{n}", n + 1)
    desk.clock.advance(60 * DAY)
    ticks = iter(range(1000))
    monkeypatch.setattr(desk.clock, "monotonic", lambda: float(next(ticks)))
    assert [
        desk.journal.pruning.prune_transfers(now_ms=desk.clock.wall, keep_ms=KEEP_MS) for _ in range(5)
    ] == [
        1,
        1,
        1,
        1,
        0,
    ]


def test_a_clock_that_was_ahead_keeps_nothing_for_ever(desk: Desk) -> None:
    """Times from the future count from now on."""
    desk.clock.wall += 10**12
    first = desk.synced("A")
    second = desk.synced("B", 2)
    desk.clock.wall -= 10**12
    assert desk.after(0) == {first.row_id, second.row_id}
    desk.prune_events(30)
    assert desk.after(31) == {second.row_id}
    assert desk.prune_events(30) == 8


def test_a_clock_that_was_set_back_makes_nothing_old(desk: Desk) -> None:
    """What ended while it was a year behind is as young as what ended before, also after a restart."""
    first, second = desk.synced("A"), desk.synced("B", name="chunk_002.mp4")
    desk.clock.wall -= int(365 * DAY * 1000)
    desk.missing(first)
    desk.journal.transfers._latest_ms = None
    desk.missing(second)
    desk.clock.wall += int(365 * DAY * 1000)
    assert desk.after(29) == {first.row_id, second.row_id}
    assert desk.after(2) == set()


def test_old_events_are_forgotten_and_young_ones_are_not(desk: Desk) -> None:
    """A few hundred at a time."""
    first = desk.synced("A")
    count = desk.rows("events")
    for _ in range(EVENTS_MAX):
        desk.journal.transfers.record(first, "looked at", first.state)
    desk.clock.advance(8 * DAY)
    desk.synced("B", 2)
    gone = [desk.prune_events(7) for _ in range(3)]
    assert gone == [EVENTS_MAX, count, 0]
    assert desk.rows("events") == count


def test_what_was_forgotten_leaves_the_disk(desk: Desk) -> None:
    """All but what rows to come will fill, a few pages in each step."""
    transfer = desk.synced("A")
    with desk.journal.db.atomic():
        for _ in range(2000):
            desk.journal.transfers.record(transfer, "looked at", transfer.state, "x" * 4000)
    desk.clock.advance(8 * DAY)
    full = size(desk.journal)
    while desk.prune_events(7):
        pass
    assert size(desk.journal) == full
    steps = 1
    while desk.journal.pruning.give_back():
        steps += 1
    assert steps > 10
    assert size(desk.journal) < full / 4
    assert desk.journal.db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"


def test_a_journal_that_cannot_give_pages_back_keeps_them(tmp_path: Path) -> None:
    """One from before: they are filled again."""
    sqlite3.connect(tmp_path / "journal.db").execute("CREATE TABLE before (x)").connection.close()
    desk = Desk(tmp_path)
    transfer = desk.synced("A")
    for _ in range(500):
        desk.journal.transfers.record(transfer, "looked at", transfer.state, "x" * 4000)
    desk.clock.advance(8 * DAY)
    desk.prune_events(7)
    assert not desk.journal.pruning.give_back()


def size(journal: Journal) -> int:
    """Return what the file has once the log is in it."""
    assert journal.db.checkpoint_wal()
    return journal.db.path.stat().st_size


def test_how_far_back_nothing_is_known_is_remembered(desk: Desk) -> None:
    """By the transfer's own time; what never reached Convex leaves nothing that it might show."""
    journal = desk.journal
    lost = ready(journal, "X")
    journal.completion.vanish(lost.row_id)
    desk.after(31)
    assert noted(journal, "pruned") is None
    first = desk.synced("A")
    desk.clock.advance(1)
    second = desk.synced("B", 2)
    desk.missing(second)
    desk.after(31)
    assert first.transfer_id[:10] < second.transfer_id[:10] == noted(journal, "pruned")


def test_a_scene_without_files_is_forgotten_and_one_with_a_file_is_not(desk: Desk) -> None:
    """Its session's manifest goes with the last scene."""
    transfer = desk.synced("A")
    journal = desk.journal
    journal.db.execute("INSERT INTO sessions VALUES ('demo/lesson', 1)")
    assert desk.prune_scenes(60) == ["s1"]
    desk.missing(transfer)
    desk.after(31)
    assert desk.prune_scenes(29) == ["s1"]
    assert desk.rows("sessions") == 1
    assert desk.prune_scenes(2) == []
    assert desk.rows("sessions") == 0


def mark(journal: Journal, *, chunks: int | None = None, mtime_ns: int = 10**18) -> None:
    """Write a `.complete` marker."""
    journal.scenes.mark_scene(
        project_id="demo",
        session_id="demo/lesson",
        scene_id="s1",
        marker="complete",
        mtime_ns=mtime_ns,
        chunks=chunks,
    )


def facts(journal: Journal) -> str | None:
    """Return what was reported last of the scene."""
    row = journal.db.execute("SELECT reported FROM scenes WHERE scene_id = 's1'").fetchone()
    return None if row is None or row["reported"] is None else str(row["reported"])


def test_a_playlist_is_remembered_as_long_as_its_scene_or_a_file_of_it(desk: Desk) -> None:
    """Held segments have no row: whoever lists the disk says whether any lie there."""
    scene = Named(project_id="demo", session_id="demo/lesson", scene_id="s1")
    combined = ready(desk.journal, "C", at=route("all.mp4", kind=AssetType.COMBINED_VIDEO))
    for named in (scene, replace(scene, scene_id=None)):
        desk.journal.stream_pieces.playlist_seen(named, "index.m3u8")
    ship(desk.journal, combined)
    tell(desk.journal)

    def forgotten(*needed: str) -> list[str]:
        streams = {("demo/lesson", scene_id) for scene_id in needed}
        gone, more = desk.journal.scene_pruning.prune_playlists(after=("", ""), needed=streams)
        assert more is None
        return [scene_id for _, scene_id in gone]

    assert forgotten() == []
    assert desk.prune_scenes(31) == []
    assert forgotten("s1") == []
    assert forgotten() == ["s1"]
    desk.missing(combined)
    desk.after(31)
    assert forgotten() == [""]
    assert desk.journal.stream_pieces.playlists() == {}


def test_a_forgotten_chunk_still_counts(desk: Desk) -> None:
    """A marker that wants two chunks has seen two, one of which was deleted long ago."""
    first = desk.synced("A")
    desk.synced("B", name="chunk_002.mp4")
    mark(desk.journal, chunks=2)
    assert '"marker"' in (facts(desk.journal) or "")
    desk.missing(first)
    desk.after(31)
    mark(desk.journal, chunks=2, mtime_ns=10**18 + 1)
    assert '"marker"' in (facts(desk.journal) or "")


def test_a_scene_whose_marker_counts_chunks_is_remembered_longer(desk: Desk) -> None:
    """The one that is rendered again may be the only one of the twelve that is."""
    transfer = desk.synced("A")
    mark(desk.journal, chunks=1)
    tell(desk.journal)
    desk.missing(transfer)
    desk.after(31)
    assert desk.prune_scenes(31 * (COUNTED_SCENES_KEEP - 1)) == ["s1"]
    assert desk.prune_scenes(62) == []


def test_the_marker_of_a_forgotten_scene_unsays_nothing(desk: Desk) -> None:
    """It is read again at every start; Convex shows the scene as complete and goes on doing so."""
    mark(desk.journal, chunks=12)
    assert facts(desk.journal) is None
    assert desk.rows("outbox") == 0
    see(desk.journal, at=route("new.mp4"))
    assert '"complete": false' in (facts(desk.journal) or "")


def test_a_journal_from_before_begins_to_count_at_its_opening(tmp_path: Path) -> None:
    """What was over then is forgotten later, what is shown stays; lost and other videos are counted."""
    desk = Desk(tmp_path)
    first, second = desk.synced("A"), desk.synced("B", 2)
    gone = desk.synced("C", name="chunk_002.mp4")
    desk.missing(gone)
    dead = ready(desk.journal, "D", at=route("dead.mp4"))
    desk.journal.upload_claims.claim_uploads(limit=9, now=0.0)
    desk.journal.uploads.mark_dead(
        dead.row_id, SidecarError(ErrorKind.INVALID, "no", operation="put", target="k")
    )
    wanted = counted(desk.journal)
    assert wanted == (
        [(first.row_id, True), (second.row_id, False), (gone.row_id, True), (dead.row_id, False)],
        [("s1", 2, 1, 0)],
    )
    make_older(desk.journal)
    desk.journal.close()
    assert counted(open_journal(tmp_path)) == wanted


def counted(journal: Journal) -> tuple[list[tuple[int, bool]], list[tuple[str, int, int, int]]]:
    """Return what is over, and what is known of the videos of scenes."""
    transfers = journal.db.execute("SELECT id, ended_ms IS NOT NULL AS over FROM transfers ORDER BY id")
    scenes = journal.db.execute("SELECT scene_id, videos, videos_dead, videos_abandoned FROM scenes")
    return [(row["id"], bool(row["over"])) for row in transfers], [
        (row["scene_id"], row["videos"], row["videos_dead"], row["videos_abandoned"]) for row in scenes
    ]


def make_older(journal: Journal) -> None:
    """Take two migrations back, and what came to them later."""
    for statement in (
        *("DROP INDEX ended", "DROP INDEX debts_by_transfer", "DROP INDEX dead_videos"),
        *("ALTER TABLE transfers DROP COLUMN ended_ms", "ALTER TABLE scenes DROP COLUMN empty_ms"),
        *("ALTER TABLE scenes DROP COLUMN videos", "ALTER TABLE scenes DROP COLUMN videos_dead"),
        "ALTER TABLE scenes DROP COLUMN videos_abandoned",
        "DELETE FROM _sqlite_migrations WHERE name IN ('pruning', 'videos', 'gathered_counts')",
    ):
        journal.db.execute(statement)


def test_a_scene_that_was_taken_up_is_not_forgotten_before_its_end_is_told(desk: Desk) -> None:
    """However long its quiet, or the daemon's sleep, is."""
    facts = SceneFacts(complete=False, owed=1, error=None, reason=None)
    told = ReportedScene(project_id="demo", session_id="demo/lesson", scene_id="s9", facts=facts)
    desk.journal.recovery.recover_scenes([told], is_last=True)
    assert desk.prune_scenes(62) == ["s9"]
    desk.journal.scenes.quiet_scene("demo/lesson", "s9", change=0)
    tell(desk.journal)
    assert desk.prune_scenes(62) == []

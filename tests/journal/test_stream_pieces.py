"""Pieces of streams in the journal: parked, let go, withheld, and what is told of their scene."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sidecar.core.entities import Named
from sidecar.core.model import AssetType, Fingerprint, KnownContent, Piece, Route, State, Transfer
from sidecar.journal.journal import Journal
from sidecar.journal.read.check import check_journal
from sidecar.journal.stores.stream_pieces import PieceOutcome
from tests.support.journals import ROOT, batch, identity, open_journal, ready, route, see, ship, tell

SCENE = Named(project_id="demo", session_id="demo/lesson", scene_id="s1")
STREAM = ("demo/lesson", "s1")
PLAYLIST = "demo/lesson/s1/index.m3u8"


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """Open a fresh journal."""
    return open_journal(tmp_path)


def park(
    journal: Journal, text: str, n: int = 1, *, at: Route, piece: Piece = Piece.CHUNK
) -> tuple[Transfer, PieceOutcome]:
    """Bring a piece to its end."""
    candidate = see(journal, n, at=at)
    assert candidate is not None
    fingerprint = Fingerprint(identity=identity(n), checksum=f"crc64nvme:{text}")
    return candidate, journal.stream_pieces.complete_piece(candidate.row_id, fingerprint, piece)


def claimed(journal: Journal) -> list[str]:
    """Return the names of what is claimed."""
    return [one.route.slot.name for one in journal.upload_claims.claim_uploads(limit=9, now=1e9).transfers]


def videos(journal: Journal) -> int:
    """Return how many videos are counted of the scene."""
    row = journal.db.execute("SELECT videos FROM scenes WHERE scene_id = 's1'").fetchone()
    return int(row["videos"])


def facts(journal: Journal) -> tuple[bool, int]:
    """Return what was last told of the scene: whether it is complete, and owed."""
    told = json.loads(journal.db.execute("SELECT reported FROM scenes").fetchone()["reported"])
    return told["complete"], told["owed"]


def is_whole(journal: Journal) -> bool:
    """Examine a journal."""
    return not check_journal(journal.db.path).findings


def test_a_parked_piece_is_claimed_once_it_is_let_go(journal: Journal) -> None:
    """Also by the process after this one; what came later waits for its own word."""
    first, fate = park(journal, "A", at=route("0.ts"))
    assert fate is PieceOutcome.PARKED
    (group,) = journal.stream_pieces.parked()
    assert (group.stream, group.count, group.is_over) == (STREAM, 1, False)
    assert group.places == {(ROOT, "demo/lesson/s1", "demo/lesson/s1")}
    assert claimed(journal) == []
    path = journal.db.path.parent
    journal.close()
    journal = open_journal(path)
    assert claimed(journal) == []
    park(journal, "B", at=route("1.ts"))
    journal.stream_pieces.unpark(STREAM, newest=first.row_id)
    assert claimed(journal) == ["0.ts"]
    assert is_whole(journal)


def test_a_playlist_withholds_what_is_parked_and_what_comes_later(journal: Journal) -> None:
    """Their rows are dropped and their files forgotten: held, and found anew; nothing else is touched."""
    film = ready(journal, "F", at=route("film.mp4"))
    park(journal, "A", at=route("0.ts"))
    assert videos(journal) == 2
    assert [*journal.stream_pieces.playlist_seen(SCENE, PLAYLIST)] == ["demo/lesson/s1/0.ts"]
    assert journal.stream_pieces.playlists() == {STREAM: PLAYLIST}
    _, fate = park(journal, "B", at=route("1.ts"))
    assert fate is PieceOutcome.WITHHELD
    assert videos(journal) == 1
    assert journal.files.known(ROOT, "demo/lesson/s1").keys() == {"film.mp4"}
    assert claimed(journal) == ["film.mp4"]
    assert journal.transfers.one(film.row_id).state is State.READY
    path = journal.db.path.parent
    journal.close()
    journal = open_journal(path)
    assert park(journal, "C", at=route("2.ts"))[1] is PieceOutcome.WITHHELD
    assert is_whole(journal)


def test_only_what_was_not_begun_is_withheld(journal: Journal) -> None:
    """A film that a playlist names, and that is on its way, arrives."""
    begun, waiting, open_film = (ready(journal, n, at=route(f"{n}.mp4")) for n in ("A", "B", "C"))
    assert journal.upload_claims.claim_uploads(limit=1, now=0.0).transfers[0].row_id == begun.row_id
    assert {number for number, _ in journal.withholding.unsent(ROOT, "demo")} == {
        waiting.row_id,
        open_film.row_id,
    }
    assert journal.withholding.unsent(ROOT, "demo/les") == []
    assert journal.withholding.withhold({begun.row_id: "why", waiting.row_id: "why", 99: "why"}) == [
        "demo/lesson/s1/B.mp4"
    ]
    assert claimed(journal) == ["C.mp4"]
    assert is_whole(journal)


def test_what_was_abandoned_is_withheld_and_its_scene_is_no_error(journal: Journal) -> None:
    """The start of a WebM stream never says how long it is."""
    torn = see(journal, at=route("init.webm"))
    assert torn is not None
    journal.completion.abandon(torn.row_id, "it has no size", identity(1))
    path = "demo/lesson/s1/init.webm"
    assert journal.withholding.withhold_files(ROOT, {path: "why", "nothing": "why"}) == [path]
    assert journal.transfers.find(torn.row_id) is None
    (op,) = [op for op in batch(journal).ops if op.kind == "facts"]
    assert op.body["error"] is None
    assert is_whole(journal)


def test_a_withheld_file_leaves_what_was_delivered_before_as_it_is(journal: Journal) -> None:
    """A chunk that is rendered again as a segment: Convex goes on showing the old one."""
    old, _ = park(journal, "A", at=route("0.ts"))
    journal.stream_pieces.unpark(STREAM, newest=old.row_id)
    ship(journal, old)
    tell(journal)
    park(journal, "B", 2, at=route("0.ts"))
    journal.stream_pieces.playlist_seen(SCENE, PLAYLIST)
    (row,) = journal.db.execute("SELECT transfer FROM files WHERE name = '0.ts'")
    assert row["transfer"] == old.row_id
    assert journal.transfers.one(old.row_id).state is State.SYNCED
    assert is_whole(journal)


def test_a_scene_whose_video_is_held_is_complete_and_owed(journal: Journal) -> None:
    """So it is never ready; a film of its own makes it so."""
    park(journal, "A", at=route("0.ts"))
    journal.stream_pieces.playlist_seen(SCENE, PLAYLIST)
    journal.scenes.quiet_scene(*STREAM, change=1)
    assert facts(journal) == (True, 1)
    ship(journal, ready(journal, "F", at=route("film.mp4")))
    tell(journal)
    journal.scenes.quiet_scene(*STREAM, change=2)
    assert facts(journal) == (True, 0)


@pytest.mark.parametrize(("piece", "owed"), [(Piece.CHUNK, 0), (Piece.FRAGMENT, 1)])
def test_fragments_that_were_let_go_are_no_video(journal: Journal, piece: Piece, owed: int) -> None:
    """Chunks that play alone are."""
    parked, _ = park(journal, "A", at=route("0.m4s"), piece=piece)
    journal.scenes.quiet_scene(*STREAM, change=1)
    (group,) = journal.stream_pieces.parked()
    assert group.is_over
    journal.stream_pieces.unpark(STREAM, newest=parked.row_id)
    ship(journal, parked)
    tell(journal)
    assert facts(journal) == (True, owed)


def test_a_session_is_over_with_its_manifest(journal: Journal) -> None:
    """Its pieces have no scene whose quiet would be noticed."""
    park(journal, "A", 2, at=route("0.ts", kind=AssetType.COMBINED_VIDEO))
    (group,) = journal.stream_pieces.parked()
    assert (group.stream, group.is_over) == (("demo/lesson", ""), False)
    ready(journal, "M", 3, at=route("manifest.json", kind=AssetType.MANIFEST))
    assert journal.stream_pieces.parked()[0].is_over


def test_a_new_journal_lets_go_what_convex_shows(tmp_path: Path) -> None:
    """It was delivered; of the rest nobody knows more than before."""
    journal = open_journal(tmp_path)
    journal.recovery.begin_recovery()
    shown, _ = park(journal, "A", at=route("0.ts"))
    unknown, _ = park(journal, "B", at=route("1.ts"))
    journal.lookups.end_lookups(
        {shown.row_id: KnownContent(key="old/key", transfer="01OLD", version=4), unknown.row_id: None}
    )
    assert claimed(journal) == ["0.ts"]
    assert [group.newest for group in journal.stream_pieces.parked()] == [unknown.row_id]


def test_a_piece_of_the_same_bytes_is_no_news(journal: Journal) -> None:
    """It was touched, no more."""
    old, _ = park(journal, "A", at=route("0.ts"))
    journal.stream_pieces.unpark(STREAM, newest=old.row_id)
    ship(journal, old)
    tell(journal)
    assert park(journal, "A", 2, at=route("0.ts"))[1] is PieceOutcome.UNCHANGED
    assert journal.stream_pieces.parked() == []

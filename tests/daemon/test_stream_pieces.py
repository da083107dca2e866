"""The end of scenes for pieces of streams: what lets them go, and the last look before."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest

from sidecar.core.model import AssetType, Fingerprint, Piece, Route
from sidecar.daemon.stream_pieces import IDLE_SECONDS, StreamPieceRelease
from sidecar.journal.journal import Journal
from sidecar.journal.stores.stream_pieces import StreamPieces
from sidecar.journal.writer import JournalWriter
from sidecar.watch.stage import WatchStage
from tests.support.clock import ManualClock
from tests.support.journals import ROOT, identity, open_journal, route, see

PLAYLIST = "demo/lesson/s1/hls/late.m3u8"


@dataclass
class Folder:
    """What the watch stage sees of the disk."""

    playlist: str | None = None
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    looked_at: list[str] = field(default_factory=list)

    async def playlist_near(self, _root: str, _folder: str, _entity_folder: str | None) -> str | None:
        """Return the one that lies there."""
        return self.playlist

    def probe_later(self, root: str, path: str) -> None:
        """Note what is to be looked at."""
        assert root == ROOT
        self.looked_at.append(path)


@dataclass
class Desk:
    """A journal and what waits in it."""

    journal: Journal
    writer: JournalWriter
    clock: ManualClock
    folder: Folder
    pieces: StreamPieceRelease

    async def park(self, at: Route, n: int = 1) -> None:
        """Bring a piece to its end."""
        await self.writer.run(_park, at, n)

    async def parked(self) -> int:
        """Count what waits."""
        return sum(group.count for group in await self.writer.do(StreamPieces.parked))


def _park(journal: Journal, at: Route, n: int) -> None:
    candidate = see(journal, n, at=at)
    assert candidate is not None
    fingerprint = Fingerprint(identity=identity(n), checksum=f"crc64nvme:{at.slot.name}{n}")
    journal.stream_pieces.complete_piece(candidate.row_id, fingerprint, Piece.CHUNK)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    """Open a journal of pieces."""
    clock, folder = ManualClock(), Folder()
    journal = open_journal(tmp_path, clock)
    async with JournalWriter(journal) as writer:
        watch = cast("WatchStage", folder)  # as far as pieces go
        pieces = StreamPieceRelease(journal=writer, watch=watch, clock=clock, complete_after_seconds=60.0)
        yield Desk(journal=journal, writer=writer, clock=clock, folder=folder, pieces=pieces)


async def test_they_go_with_their_scene(desk: Desk) -> None:
    """Not before it is complete; another scene's stay."""
    await desk.park(route("0.ts"))
    await desk.park(route("0.ts", scene="s2"))
    await desk.pieces.look()
    assert await desk.parked() == 2
    await desk.writer.run(lambda journal: journal.scenes.quiet_scene("demo/lesson", "s1", change=1))
    await desk.pieces.look()
    assert await desk.parked() == 1


async def test_a_last_look_finds_the_playlist_that_no_listing_has_shown(desk: Desk) -> None:
    """They are held then, and looked at again so that this is seen."""
    await desk.park(route("0.ts"))
    await desk.writer.run(lambda journal: journal.scenes.quiet_scene("demo/lesson", "s1", change=1))
    desk.folder.playlist = PLAYLIST
    await desk.pieces.look()
    assert await desk.writer.do(StreamPieces.playlists) == {("demo/lesson", "s1"): PLAYLIST}
    assert await desk.parked() == 0
    claim = await desk.writer.run(lambda journal: journal.upload_claims.claim_uploads(limit=9, now=1e9))
    assert claim.transfers == ()
    assert desk.folder.looked_at == [PLAYLIST, "demo/lesson/s1/0.ts"]


async def test_what_belongs_to_a_session_goes_after_as_much_quiet_as_a_scene(desk: Desk) -> None:
    """Quiet begins anew with each that is added."""
    await desk.park(route("0.ts", kind=AssetType.COMBINED_VIDEO))
    assert await desk.pieces.look()
    desk.clock.advance(59.0)
    await desk.park(route("1.ts", kind=AssetType.COMBINED_VIDEO))
    await desk.pieces.look()
    desk.clock.advance(59.0)
    await desk.pieces.look()
    assert await desk.parked() == 2
    desk.clock.advance(2.0)
    await desk.pieces.look()
    assert await desk.parked() == 0


async def test_a_drain_waits_for_what_is_still_written(desk: Desk) -> None:
    """An encoder is at work there: its playlist may yet come."""
    await desk.park(route("0.ts"))
    await desk.park(route("0.ts", scene="s2"))
    await desk.writer.run(lambda journal: see(journal, 5, at=route("1.ts")))
    await desk.pieces.finish()
    assert await desk.parked() == 2, "an encoder may be between two fragments"
    desk.clock.advance(IDLE_SECONDS)
    await desk.pieces.finish()
    (left,) = await desk.writer.do(StreamPieces.parked)
    assert left.stream == ("demo/lesson", "s1")

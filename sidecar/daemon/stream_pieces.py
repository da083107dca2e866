"""Lets parked pieces of streams go once their scene is complete and no playlist was ever there.

What belongs to a session itself is complete with its manifest, or when nothing was added for
``entities.complete_after``; that is monotonic time and starts anew with the process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from sidecar.core.clock import Clock
from sidecar.core.entities import Named
from sidecar.journal.db.connection import Topic
from sidecar.journal.stores.stream_pieces import Parked, StreamPieces
from sidecar.journal.writer import AsyncJournal
from sidecar.watch.stage import WatchStage

IDLE_SECONDS = 5.0  # ffmpeg opens a fragment only once it has all of it: between two nothing is being written


class StreamPieceRelease:
    """Lets go of what waits for the end of its scene."""

    def __init__(
        self, *, journal: AsyncJournal, watch: WatchStage, clock: Clock, complete_after_seconds: float
    ) -> None:
        """``watch`` looks for playlists a last time."""
        self._journal, self._watch, self._clock = journal, watch, clock
        self._after = complete_after_seconds
        self._since: dict[tuple[str, str], tuple[int, float]] = {}
        self._news = journal.subscribe(Topic.PIECES)

    async def run(self) -> None:
        """Look at the parked pieces whenever a scene is complete or one is added, until cancelled."""
        await self._watch.ready.wait()
        while True:
            self._news.clear()
            pause = min(5.0, max(0.05, self._after / 10)) if await self.look() else None
            try:
                async with asyncio.timeout(pause):
                    await self._news.wait()
            except TimeoutError:
                continue

    async def look(self) -> bool:
        """Let go of what is over; tell whether only the time says when more is."""
        groups, now = await self._parked()
        for group in groups:
            if group.is_over or self._is_quiet(group, now):
                await self._end(group)
        return any(not group.stream[1] for group in groups)

    async def finish(self) -> None:
        """Let go where no encoder seems to be at work: the daemon was asked to stop."""
        groups, now = await self._parked()
        for group in groups:
            if not group.is_unsettled and now - self._since[group.stream][1] >= min(
                self._after, IDLE_SECONDS
            ):
                await self._end(group)

    async def _parked(self) -> tuple[Sequence[Parked], float]:
        """Return what is parked, and the time; note since when each group is as it is."""
        groups = await self._journal.do(StreamPieces.parked)
        now = self._clock.monotonic()
        self._since = {group.stream: self._quiet_since(group, now) for group in groups}
        return groups, now

    def _quiet_since(self, group: Parked, now: float) -> tuple[int, float]:
        newest, since = self._since.get(group.stream, (None, now))
        return (group.newest, since) if newest == group.newest else (group.newest, now)

    def _is_quiet(self, group: Parked, now: float) -> bool:
        return not group.stream[1] and now - self._since[group.stream][1] >= self._after

    async def _end(self, group: Parked) -> None:
        playlist = await self._playlist_of(sorted(group.places, key=str))
        if playlist is None:
            await self._journal.do(StreamPieces.unpark, group.stream, newest=group.newest)
            return
        root, path = playlist
        session_id, scene_id = group.stream
        named = Named(project_id=group.project_id, session_id=session_id, scene_id=scene_id or None)
        withheld = await self._journal.do(StreamPieces.playlist_seen, named, path)
        for one in (path, *withheld):
            self._watch.probe_later(root, one)

    async def _playlist_of(self, places: Sequence[tuple[str, str, str | None]]) -> tuple[str, str] | None:
        """Return the root and the path of a playlist that lies there after all."""
        for root, folder, entity_folder in places:
            path = await self._watch.playlist_near(root, folder, entity_folder)
            if path is not None:
                return root, path
        return None

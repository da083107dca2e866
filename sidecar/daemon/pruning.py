"""Forgets in the background (``journal.keep``, ``retention.events``), a few milliseconds at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable
from typing import Protocol

from sidecar.core.clock import Clock, is_near
from sidecar.journal.stores.pruning import Pruning
from sidecar.journal.stores.scene_pruning import ScenePruning
from sidecar.journal.writer import AsyncJournal

ROUND_SECONDS = (1.0, 3600.0)
ROUNDS = 100  # within the shorter of the two ages
REST_SECONDS = 0.05  # between two steps: whoever has work for the journal goes first


class Streams(Protocol):
    """What the watch stage knows of playlists."""

    def needed_playlists(self) -> Collection[tuple[str, str]] | None:
        """Return the streams of which something lies on the disk; None while nobody can tell."""

    def forget_playlists(self, streams: Iterable[tuple[str, str]]) -> None:
        """Hold nothing more because of them."""


class Pruner:
    """Goes round for ever; while the wall clock cannot be trusted it forgets nothing."""

    def __init__(
        self,
        *,
        journal: AsyncJournal,
        clock: Clock,
        keep_seconds: float,
        events_seconds: float,
        skew_seconds: Callable[[], float | None],
        streams: Streams,
    ) -> None:
        """``skew_seconds`` is our wall clock minus S3's, None while unknown."""
        self._journal, self._clock, self._skew_seconds = journal, clock, skew_seconds
        self._keep_ms, self._events_ms = int(keep_seconds * 1000), int(events_seconds * 1000)
        self._scene: tuple[str, str] | None = None
        self._session: str | None = None
        self._streams, self._stream = streams, ("", "")

    async def run(self) -> None:
        """Forget what is old, until cancelled."""
        least, most = ROUND_SECONDS
        rest_seconds = min(max(min(self._keep_ms, self._events_ms) / 1000 / ROUNDS, least), most)
        while True:
            await asyncio.sleep(rest_seconds)
            await self.prune()

    @property
    def _steps(self) -> Iterable[Callable[[int], Awaitable[bool]]]:
        return (
            *(self._transfers, self._events, self._scenes, self._sessions),
            *(self._playlists, self._pages),
        )

    async def prune(self) -> None:
        """Go round once."""
        for step in self._steps:
            more = True
            while more:
                await asyncio.sleep(REST_SECONDS)
                now_ms = self._clock.wall_ms()  # before the question: a jump in between is seen
                more = self._may_trust_clock() and await step(now_ms)

    def _may_trust_clock(self) -> bool:
        return is_near(self._skew_seconds())

    async def _transfers(self, now_ms: int) -> bool:
        return bool(await self._journal.do(Pruning.prune_transfers, now_ms=now_ms, keep_ms=self._keep_ms))

    async def _events(self, now_ms: int) -> bool:
        return bool(await self._journal.do(Pruning.prune_events, now_ms=now_ms, keep_ms=self._events_ms))

    async def _scenes(self, now_ms: int) -> bool:
        self._scene = await self._journal.do(
            ScenePruning.prune_scenes, after=self._scene or ("", ""), now_ms=now_ms, keep_ms=self._keep_ms
        )
        return self._scene is not None

    async def _sessions(self, _now_ms: int) -> bool:
        self._session = await self._journal.do(ScenePruning.prune_sessions, after=self._session or "")
        return self._session is not None

    async def _playlists(self, _now_ms: int) -> bool:
        needed = self._streams.needed_playlists()
        if needed is None:
            return False
        forgotten, more = await self._journal.do(
            ScenePruning.prune_playlists, after=self._stream, needed=needed
        )
        self._streams.forget_playlists(forgotten)
        self._stream = more or ("", "")
        return more is not None

    async def _pages(self, _now_ms: int) -> bool:
        return await self._journal.do(Pruning.give_back)

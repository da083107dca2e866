"""Forgetting in the background: ``journal.keep`` and ``retention.events``, a few milliseconds at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Concatenate, ParamSpec

from sidecar.core.clock import Clock
from sidecar.journal.journal import Journal
from sidecar.journal.writer import AsyncJournal

P = ParamSpec("P")
SKEW_SECONDS_MAX = 15 * 60
ROUND_SECONDS = (1.0, 3600.0)
ROUNDS = 100  # within the shorter of the two ages
REST_SECONDS = 0.05  # between two steps: whoever has work for the journal goes first


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
    ) -> None:
        """``skew_seconds`` is our wall clock minus S3's, None while unknown."""
        self._journal, self._clock, self._skew_seconds = journal, clock, skew_seconds
        self._keep_seconds, self._events_seconds = keep_seconds, events_seconds

    async def run(self) -> None:
        """Forget what is old, until cancelled."""
        least, most = ROUND_SECONDS
        rest_seconds = min(max(min(self._keep_seconds, self._events_seconds) / ROUNDS, least), most)
        while True:
            await asyncio.sleep(rest_seconds)
            await self.prune()

    async def prune(self) -> None:
        """Go round once."""
        while await self._step(Journal.prune_transfers, self._keep_seconds):
            await asyncio.sleep(REST_SECONDS)
        while await self._step(Journal.prune_events, self._events_seconds):
            await asyncio.sleep(REST_SECONDS)
        scene: tuple[str, str] | None = ("", "")
        while scene is not None:
            scene = await self._step(Journal.prune_scenes, self._keep_seconds, after=scene)
            await asyncio.sleep(REST_SECONDS)
        ...

"""Decides whether new files may be taken in: not while older work needs the rest of the journal's disk.

While the reserve is lacking new files are taken in ten at a time, each time once all that is complete was
shipped.
"""

from __future__ import annotations

import asyncio

from sidecar.core.model import State
from sidecar.journal.db.reserve import Reserve
from sidecar.journal.read.reader import JournalReader
from sidecar.watch.stage import OBSERVATIONS_MAX

AGAIN_SECONDS = 0.2
FEW = 10


class Admission:
    """Says how many new files may be taken in. A listing asks it before each piece of what it found."""

    def __init__(self, *, reserve: Reserve, reader: JournalReader, syncing: bool) -> None:
        """``syncing`` is False with ``convex.sync: off``: an uploaded file then needs nothing any more."""
        self._reserve, self._reader = reserve, reader
        self._under_way = (State.READY, State.UPLOADED) if syncing else (State.READY,)

    async def wait(self) -> int:
        """Return how many at once: while the reserve is held, now; else few, once all else was shipped."""
        while self._reserve.is_lacking and await asyncio.to_thread(self._is_pending):  # noqa: ASYNC110 - the question goes to the journal's disk
            await asyncio.sleep(AGAIN_SECONDS)
        return FEW if self._reserve.is_lacking else OBSERVATIONS_MAX

    def _is_pending(self) -> bool:
        counts = self._reader.counts()
        return any(counts.get(state) for state in self._under_way)

"""The way down: ship what is owed for as long as the grace lasts (DESIGN.md section 7).

Owed includes files that are settling, open or incomplete, and dead letters: a renderer's container
may take its disk with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sidecar.core.model import State
from sidecar.journal.reading import JournalReader
from sidecar.upload.cleaner import Cleaner

from .pieces import Pieces
from .quiet import QuietScenes
from .source import Source

LOOK_SECONDS = 0.1
NAMES_MAX = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Owed:
    """What is left. ``paths`` names at most 100; ``waiting`` of them may still get done.

    ``ops`` counts what Convex was not told, what S3 was not cleaned of, and where it must be looked at again.
    """

    files: int
    waiting: int
    ops: int
    paths: Sequence[str]


class Drain:
    """Ends when nothing is owed, when nothing more can be done, or when the grace is over."""

    def __init__(
        self,
        *,
        source: Source,
        quiet: QuietScenes,
        pieces: Pieces | None = None,
        cleaner: Cleaner,
        grace_seconds: float,
        syncing: bool,
        asking: Callable[[], bool] = lambda: False,
    ) -> None:
        """``syncing`` is False with ``convex.sync: off``: an uploaded file is then owed nothing.

        ``pieces`` lets go of what waits for its scene. ``asking`` tells whether Convex is yet to say which
        scenes are to be brought to their end.
        """
        self._source, self._quiet, self._cleaner, self._pieces = source, quiet, cleaner, pieces
        self._grace_seconds, self._syncing, self._asking = grace_seconds, syncing, asking

    async def run(self) -> Owed:
        """Scan once more, then ship on; returns what is still owed."""
        for gate in self._source.remotes.values():
            gate.hurry(1.0)
        try:
            async with asyncio.timeout(self._grace_seconds):
                await self._cleaner.hurry()
                await self._source.watch.scan_now()
                while (await self.owed()).waiting or self._asking():
                    if self._pieces is not None:  # nobody will complete their scenes now
                        await self._pieces.finish()
                    await asyncio.sleep(LOOK_SECONDS)
                if not (await self.owed()).files:  # a clean drain reports its scenes as complete
                    await self._quiet.finish()
                await self._until(lambda owed: not owed.ops)
                await self._cleaner.finish()
        except TimeoutError:
            pass  # the grace is over; what is owed says the rest
        return await self.owed()

    async def _until(self, over: Callable[[Owed], bool]) -> None:
        while not over(await self.owed()):  # noqa: ASYNC110 - the question goes to the journal's disk
            await asyncio.sleep(LOOK_SECONDS)

    async def owed(self) -> Owed:
        """Return what is owed now."""
        done = set() if self._syncing else {State.UPLOADED}
        rows, counts, ops = await self._source.read(
            lambda reader: (reader.owed(limit=NAMES_MAX), reader.unfinished(), self._calls_owed(reader))
        )
        counts = {state: n for state, n in counts.items() if state not in done}
        hopeless = counts.get(State.DEAD, 0) + counts.get(State.ABANDONED, 0)
        files = sum(counts.values())
        ops += self._cleaner.doubts + self._asking()
        paths = [f"{row.display} ({row.state})" for row in rows if row.state not in done]
        return Owed(files=files, waiting=files - hopeless, ops=ops, paths=tuple(paths))

    def _calls_owed(self, reader: JournalReader) -> int:
        syncing = reader.unsettled_ops() + reader.unmarked_expiries() if self._syncing else 0
        return reader.unpaid_debts() + syncing

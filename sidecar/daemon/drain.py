"""Drains: ships what is owed for as long as the grace lasts (CONTRACT.md, "The command line").

Owed includes files that are settling, open or incomplete, and dead letters: a renderer's container
may take its disk with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sidecar.core.account import Draining, FileClass, FileScope, class_of
from sidecar.core.model import State, Transfer
from sidecar.core.paths import absolute
from sidecar.journal.read.reader import JournalReader
from sidecar.status.unfinished import count_unfinished, refused_now, undelivered_counts, undelivered_rows
from sidecar.status.wording import failure, meaning
from sidecar.upload.cleanup.worker import CleanupWorker
from sidecar.watch.complete.schedule import Candidate

from .scene_completion import SceneCompletion
from .source import DaemonSource
from .stages import Stages
from .stream_pieces import StreamPieceRelease

LOOK_SECONDS = 0.1
NAMES_MAX = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Remaining:
    """What is left. ``paths`` names at most 100; ``waiting`` of ``files`` may still get done.

    ``files`` are those of the journal, ``unsent`` those that it does not have, ``away`` the roots of which
    nothing can be told.
    ``ops`` counts what Convex was not told, what S3 was not cleaned of, and where it must be looked at again.
    """

    files: int
    waiting: int
    unsent: int
    away: int
    ops: int
    paths: Sequence[str]

    @property
    def is_clean(self) -> bool:
        """Tell whether everything was delivered and told."""
        return not (self.files or self.unsent or self.away or self.ops)


class Drain:
    """Ends when nothing is owed, when nothing more can be done, or when the grace is over."""

    def __init__(
        self,
        *,
        source: DaemonSource,
        quiet: SceneCompletion,
        pieces: StreamPieceRelease | None = None,
        cleaner: CleanupWorker,
        grace_seconds: float,
        syncing: bool,
        asking: Callable[[], bool] = lambda: False,
    ) -> None:
        """``syncing`` is False with ``convex.sync: off``: an uploaded file is then owed nothing.

        ``pieces`` lets go of what waits for its scene. ``asking`` tells whether Convex is yet to say which
        scenes are to be brought to their end.
        """
        self._source, self._scene_completion, self._cleaner, self._pieces = source, quiet, cleaner, pieces
        self._grace_seconds, self._syncing, self._asking = grace_seconds, syncing, asking

    async def run(self) -> Remaining:
        """Scan once more, then ship on; returns what is still owed."""
        for gate in self._source.remotes.values():
            gate.hurry(1.0)
        try:
            async with asyncio.timeout(self._grace_seconds):
                await self._cleaner.hurry()
                await self._source.watch.scan_now()
                while (await self.remaining()).waiting or self._asking():
                    if self._pieces is not None:  # nobody will complete their scenes now
                        await self._pieces.finish()
                    await asyncio.sleep(LOOK_SECONDS)
                if not (await self.remaining()).files:  # a clean drain reports its scenes as complete
                    await self._scene_completion.finish()
                await self._until(lambda remaining: not remaining.ops)
                await self._cleaner.finish()
        except TimeoutError:
            pass  # the grace is over; what is owed says the rest
        return await self.remaining()

    async def _until(self, over: Callable[[Remaining], bool]) -> None:
        while not over(await self.remaining()):  # noqa: ASYNC110 - the question goes to the journal's disk
            await asyncio.sleep(LOOK_SECONDS)

    async def remaining(self) -> Remaining:
        """Return what is owed now."""
        candidates = {(one.root, one.path): one for one in self._source.watch.pending()}
        refused = refused_now(candidates.values())
        unsent, paths = self._unsent()  # with those that are refused: the journal's numbers leave them out
        found, counts, ops = await self._source.read(
            lambda reader: (
                reader.unfinished_transfers(limit=2 * NAMES_MAX),
                reader.unfinished(),
                self._calls_remaining(reader),
            )
        )
        rows, away = undelivered_rows(found, syncing=self._syncing), self._source.watch.away()
        counted = count_unfinished(undelivered_counts(counts, syncing=self._syncing), refused, away)
        named = [
            f"{row.display}: {self._why(row, candidates.get((row.root, row.path)))}"
            for row in rows
            if not (row.state is State.DISCOVERED and (row.root, row.path) in refused)
        ]
        new = [one for one in candidates.values() if not one.is_journaled]
        named += [f"{absolute(one.root, one.path)}: {one.file_class}: {one.why}" for one in new]
        files = max(0, counted.total - counted.refused) + len(new)
        lost = [f"{root}: {why.why}" for root, why in away.items()]
        return Remaining(
            files=files,
            waiting=max(0, files - counted.given_up),
            unsent=unsent,
            away=len(away),
            ops=ops + self._cleaner.rechecks + self._asking(),
            paths=tuple([*lost, *paths, *named][:NAMES_MAX]),
        )

    def _why(self, row: Transfer, candidate: Candidate | None) -> str:
        """Return the class of a file that is owed and the reason, as `wait` would name them."""
        if row.state is State.DISCOVERED and candidate is not None:
            return f"{candidate.file_class}: {candidate.why}"
        return f"{class_of(row.state, syncing=self._syncing)}: {failure(row) or meaning(row)}"

    def _unsent(self) -> tuple[int, list[str]]:
        """Return how many files the journal does not have make a drain fail, and the names of some."""
        watch, number, paths = self._source.watch, 0, list[str]()
        for root in watch.roots():
            unsent = watch.unsent(FileScope(root=root))
            for name in unsent.counts:
                number += _failing(watch.row(root, name).drain, unsent.counts[name], unsent.new[name])
            rows = {one.finding: watch.row(root, FileClass(one.finding)).drain for _, one in unsent.examples}
            named = {one.path: one for _, one in unsent.new_examples if _failing(rows[one.finding], 1, 1)}
            named |= {one.path: one for _, one in unsent.examples if _failing(rows[one.finding], 1, 0)}
            paths += [f"{absolute(root, one.path)}: {one.finding}: {one.why}" for one in named.values()]
        return number, paths

    def _calls_remaining(self, reader: JournalReader) -> int:
        syncing = reader.unsettled_ops() + reader.unmarked_expiries() if self._syncing else 0
        return reader.pending_cleanup() + syncing


def _failing(drain: Draining, count: int, new: int) -> int:
    """Return how many files of a class make a drain fail; ``new`` ones changed since the process started."""
    match drain:
        case Draining.FAILS:
            return count
        case Draining.FAILS_IF_NEW:
            return new
        case _:
            return 0


def build_drain(
    stages: Stages,
    *,
    source: DaemonSource,
    quiet: SceneCompletion,
    pieces: StreamPieceRelease | None,
    grace_seconds: float,
) -> Drain:
    """Build what ships the rest before the process ends."""
    return Drain(
        source=source,
        quiet=quiet,
        pieces=pieces,
        cleaner=stages.upload.cleaner,
        grace_seconds=grace_seconds,
        syncing=stages.sync is not None,
        asking=stages.is_asking,
    )

"""Tidies the renderer's files, keeps room for more, and lets the journal forget."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from sidecar.core.clock import Clock
from sidecar.journal.db.integrity import IntegrityCheck
from sidecar.journal.db.reserve import Reserve
from sidecar.journal.read.reader import JournalReader
from sidecar.journal.writer import AsyncJournal
from sidecar.settings import Settings
from sidecar.watch.deletion.sweeper import LocalFileSweeper
from sidecar.watch.stage import WatchStage

from .blocking import finished
from .pruning import Pruner
from .watermarks import Watermarks

RESERVE_AGAIN_SECONDS = 5.0
NO_RESERVE = (
    "the journal's disk has no room for its reserve: new files wait until what is under way was shipped, and"
    " when it is full, nothing can be remembered"
)
log = structlog.get_logger()


class Housekeeping:
    """Watermarks, the journal's reserve and pruning and, if asked for, the deletion of what is synced."""

    def __init__(
        self,
        *,
        watermarks: Watermarks,
        reserve: Reserve,
        pruner: Pruner,
        sweeper: LocalFileSweeper | None,
        check: Callable[[], Coroutine[Any, Any, None]] | None,
    ) -> None:
        """``sweeper`` is None with ``after_sync: keep``, ``check`` where the opening checked the journal."""
        self._watermarks, self._reserve, self._pruner = watermarks, reserve, pruner
        self._sweeper, self._check = sweeper, check
        self._is_reserved = True

    @classmethod
    def of(
        cls,
        settings: Settings,
        *,
        journal: AsyncJournal,
        is_checked: bool,
        reader: JournalReader,
        reserve: Reserve,
        watch: WatchStage,
        clock: Clock,
        skew: Callable[[], float | None],
    ) -> Housekeeping:
        """Build it from the settings.

        ``skew`` is our clock minus S3's; ``is_checked``: the journal's opening found it whole.
        """
        local = settings.local_files
        watermarks = Watermarks(
            roots=[root.root for root in settings.watch],
            journal=settings.journal.path,
            min_free=local.min_free,
            max_pending=local.max_pending,
            pending_bytes=lambda: asyncio.to_thread(lambda: reader.backlog()[1]),
        )
        sweeper = None
        if local.after_sync == "delete":
            sweeper = LocalFileSweeper(
                journal=journal,
                clock=clock,
                delete_after_seconds=local.delete_after,
                skew_seconds=skew,
                is_watched=watch.is_ours,
            )
        pruner = Pruner(
            journal=journal,
            clock=clock,
            keep_seconds=settings.journal.keep,
            events_seconds=settings.retention.events,
            skew_seconds=skew,
            streams=watch,
        )
        check = None if is_checked else partial(check_integrity, settings.journal.path, after=watch.ready)
        return cls(watermarks=watermarks, reserve=reserve, pruner=pruner, sweeper=sweeper, check=check)

    def troubles(self) -> Sequence[str]:
        """Return what is wrong, as sentences."""
        reserve = [] if self._is_reserved else [NO_RESERVE]
        sweeper = [self._sweeper.trouble] if self._sweeper and self._sweeper.trouble else []
        return [*self._watermarks.troubles(), *reserve, *sweeper]

    async def run(self) -> None:
        """Keep house, until cancelled. Raises JournalLostError."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watermarks.run())
            group.create_task(self._keep_reserve())
            group.create_task(self._pruner.run())
            if self._check is not None:
                group.create_task(self._check())
            if self._sweeper is not None:
                group.create_task(self._sweeper.run())

    async def _keep_reserve(self) -> None:
        while True:
            self._is_reserved = await asyncio.to_thread(self._reserve.take)
            await asyncio.sleep(RESERVE_AGAIN_SECONDS)


async def check_integrity(journal: Path, *, after: asyncio.Event) -> None:
    """Check a big journal once ``after`` is set, beside the work. Raises JournalLostError."""
    await after.wait()
    inspection = IntegrityCheck(journal)
    await finished(inspection.run, stop=inspection.stop)
    log.info("journal_checked", journal=str(journal))

"""The daemon's stages over the simulated ports, built by the daemon's own steps and run as it runs them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from functools import cache
from types import SimpleNamespace
from typing import Any, TypeVar, cast

from sidecar.core.breaker import BreakerPolicy
from sidecar.core.errors import SidecarError
from sidecar.core.inconsistencies import InconsistencyType
from sidecar.core.retry import RetryPolicy
from sidecar.daemon.drain import build_drain
from sidecar.daemon.journal_start import begin_recovery
from sidecar.daemon.pruning import Pruner
from sidecar.daemon.reconciling import ReconcileBusyError
from sidecar.daemon.remotes import Remotes, build_gates
from sidecar.daemon.scene_completion import SceneCompletion
from sidecar.daemon.source import DaemonSource
from sidecar.daemon.stages import Shared, build_reconciler, build_stages
from sidecar.journal.journal import Journal
from sidecar.journal.read.reader import JournalReader
from sidecar.metrics import Metrics
from sidecar.obstacles import Obstacles
from sidecar.settings.convex import BatchSettings
from sidecar.settings.daemon import Retention
from sidecar.sync.stage import SyncStage
from sidecar.upload.checksum_negotiation import ChecksumNegotiation
from sidecar.upload.limits import MemoryBudget
from sidecar.watch.deletion.sweeper import LocalFileSweeper

from .convex import SimulatedConvex
from .disk import ROOT
from .journal import InlineJournal
from .ledger import BUCKET, SIDECAR
from .loop import VirtualClock
from .noticer import Noticer
from .outside import Outside
from .power import Power
from .s3 import SimulatedS3
from .scenario import Scenario
from .world import PART_BYTES

T = TypeVar("T")
COMPLETE_AFTER_SECONDS = 50.0
LOOK_SECONDS = 27.0  # twice within it
TIDY_AFTER_SECONDS = 60.0
KEEP_SECONDS, PRUNE_SECONDS = 30.0, 20.0
GRACE_SECONDS = 25.0
BUSY = """
SELECT EXISTS (SELECT 1 FROM outbox) OR EXISTS (SELECT 1 FROM debts) OR EXISTS (SELECT 1 FROM removals)
  OR EXISTS (SELECT 1 FROM expiries)
  OR EXISTS (SELECT 1 FROM transfers WHERE state IN ('discovered', 'ready', 'uploaded', 'dead', 'abandoned'))
"""
ASK_AGAIN_SECONDS = 5.0
RETENTION = Retention.model_validate({"superseded": {"keep": 1, "for": "30s"}})


class Crew:
    """One life's."""

    def __init__(
        self,
        outside: Outside,
        scenario: Scenario,
        power: Power,
        journal: InlineJournal,
        *,
        clock: VirtualClock,
        chance: random.Random,
    ) -> None:
        """Nothing runs before ``work`` is started."""
        self._outside, self._scenario, self._journal = outside, scenario, journal
        self._clock = clock
        s3, convex = SimulatedS3(power), SimulatedConvex(power)
        self._remotes = Remotes(
            objects=s3,
            metadata=convex,
            budget=MemoryBudget(3 * PART_BYTES),  # two parts at once
            gates=build_gates(
                s3, convex, retry=RetryPolicy(), breaker=BreakerPolicy(), clock=clock, jitter=chance.random
            ),
            skews={"s3": lambda: 0.0, "convex": lambda: 0.0},
        )
        self._shared = Shared(
            journal=journal,
            clock=clock,
            metrics=_metrics(),
            sidecar_id=SIDECAR,
            is_first=power.life == 1,  # the id outlives every journal
            obstacles=Obstacles(clock),
            url=_url,
        )
        self._stages = build_stages(
            self._shared,
            self._remotes,
            batch=BatchSettings(),
            part_bytes=PART_BYTES,
            checking=ChecksumNegotiation(),
            takes_back=scenario.takes_back,
        )
        self._quiet = _Patient(journal=journal, clock=clock, complete_after_seconds=COMPLETE_AFTER_SECONDS)
        self._noticer = Noticer(
            outside,
            journal,
            power,
            clock=clock,
            removal=scenario.removal,
            first_looks=scenario.first_looks,
        )

    @property
    def rechecks(self) -> int:
        """How many places of S3 are still to be looked at again."""
        return self._stages.upload.cleaner.rechecks

    def work(self) -> list[Coroutine[Any, Any, None]]:
        """Return what runs side by side."""
        sweeper = [self._tidier().run()] if self._scenario.tidy else []
        pruning = [self._prune()] if self._scenario.prune else []
        reconciling = [self._reconcile_on_wish()] if self._scenario.reconciles else []
        return [
            self._notice(),
            *self._stages.work(),
            self._quiet.run(),
            *(gate.run() for gate in self._remotes.gates.values()),
            *sweeper,
            *pruning,
            *reconciling,
        ]

    async def drain(self) -> bool:
        """Stop in order, as after SIGTERM; tell whether nothing is owed."""
        reader = JournalReader(self._outside.ledger.path, clock=self._clock)

        async def read(question: Callable[[JournalReader], T]) -> T:
            return await asyncio.to_thread(question, reader)

        watch = SimpleNamespace(
            scan_now=self._noticer.scan, pending=list, roots=list, away=dict
        )  # no roots: no findings
        source = SimpleNamespace(remotes=self._remotes.gates, watch=watch, read=read)
        drain = build_drain(
            self._stages,
            source=cast("DaemonSource", source),  # what a drain asks of it
            quiet=self._quiet,
            pieces=None,
            grace_seconds=GRACE_SECONDS,
        )
        try:
            owed = await drain.run()
        finally:
            reader.close()
        return owed.is_clean

    async def _notice(self) -> None:
        """The first scan ends the recall."""
        await begin_recovery(self._journal, watched=[] if self._scenario.removal == "keep" else [ROOT])
        async with asyncio.TaskGroup() as group:
            group.create_task(self._noticer.run())
            await self._noticer.listed.wait()
            await self._stages.lookup.end()
            self._sync.scene_recovery.begin()

    async def _prune(self) -> None:
        pruner = Pruner(
            journal=self._journal,
            clock=self._clock,
            keep_seconds=KEEP_SECONDS,
            events_seconds=KEEP_SECONDS,
            skew_seconds=lambda: 0.0,
            streams=SimpleNamespace(needed_playlists=lambda: None),  # it has none
        )
        while True:
            await asyncio.sleep(PRUNE_SECONDS)
            await pruner.prune()

    async def _reconcile_on_wish(self) -> None:
        """An operator compares, and repairs, until there is nothing to repair."""
        reconciler = build_reconciler(
            self._shared,
            self._remotes,
            self._sync,
            journal_path=self._outside.ledger.path,
            bucket=BUCKET,
            retention=RETENTION,
            every_seconds=3600.0,
            apply=True,
        )
        assert reconciler is not None
        while True:
            due = self._outside.next_at() or 0.0
            await asyncio.sleep(max(ASK_AGAIN_SECONDS, due - self._outside.now))
            if "reconcile" not in self._outside.wishes:
                continue
            try:
                report = await reconciler.reconcile(frozenset(InconsistencyType))
            except (SidecarError, ReconcileBusyError):
                continue
            if not report.found and not await self._journal.run(_is_busy):
                self._outside.grant("reconcile")

    @property
    def _sync(self) -> SyncStage:
        assert self._stages.sync is not None
        return self._stages.sync

    def _tidier(self) -> LocalFileSweeper:
        return LocalFileSweeper(
            journal=self._journal,
            clock=self._clock,
            delete_after_seconds=TIDY_AFTER_SECONDS,
            skew_seconds=lambda: 0.0,
            is_watched=lambda _root: True,
        )


class _Patient(SceneCompletion):
    """Looks seldom: a look before the quiet is over has no effect, and thousands of lives pass here."""

    async def run(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(LOOK_SECONDS)


def _is_busy(journal: Journal) -> bool:
    """Tell whether something may still come to S3 or Convex."""
    return bool(journal.db.execute(BUSY).fetchone()[0])


def _url(key: str) -> str:
    return f"https://cdn.example/{key}"


@cache
def _metrics() -> Metrics:
    return Metrics()

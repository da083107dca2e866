"""The daemon's parts over the simulated ports, built and started as daemon/composition.py and run.py do."""

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
from sidecar.daemon.drain import Drain
from sidecar.daemon.pruning import Pruner
from sidecar.daemon.reconciling import ReconcileBusyError, Reconciler
from sidecar.daemon.scene_completion import SceneCompletion
from sidecar.daemon.source import DaemonSource
from sidecar.gate import RemoteGate
from sidecar.journal.journal import Journal
from sidecar.journal.read.reader import JournalReader
from sidecar.metrics import Metrics
from sidecar.settings.convex import BatchSettings
from sidecar.settings.daemon import Retention
from sidecar.sync.stage import SyncStage
from sidecar.upload.cleanup.earlier_objects import EarlierObjects
from sidecar.upload.cleanup.rechecks import Rechecks
from sidecar.upload.context import UploadContext
from sidecar.upload.limits import MemoryBudget
from sidecar.upload.stage import UploadStage
from sidecar.watch.deletion.sweeper import LocalFileSweeper

from .convex import SimulatedConvex
from .disk import ROOT
from .journal import InlineJournal
from .ledger import BUCKET, SIDECAR, TAG
from .loop import VirtualClock
from .noticer import Noticer
from .outside import Outside
from .power import Power
from .s3 import SimulatedS3
from .scenario import Scenario

T = TypeVar("T")
PART_BYTES = 1024
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
        self._clock, self._chance = clock, chance
        s3, convex = SimulatedS3(power), SimulatedConvex(power)
        self._s3, self._convex = s3, convex
        self._gates = {"s3": self._gate("s3", s3), "convex": self._gate("convex", convex)}
        self._sync = SyncStage(
            store=convex,
            journal=journal,
            gate=self._gates["convex"],
            batch=BatchSettings(),
            sidecar_id=SIDECAR,
            clock=clock,
            metrics=_metrics(),
            is_first=power.life == 1,  # the id outlives every journal
        )
        self.doubts = Rechecks(clock=clock)
        self._upload = UploadStage(
            context=UploadContext(
                store=s3,
                journal=journal,
                budget=MemoryBudget(3 * PART_BYTES),  # two parts at once
                part_bytes=PART_BYTES,
                sidecar_id=SIDECAR,
                url=_url,
                rechecks=self.doubts,
                earlier_objects=EarlierObjects(store=s3, tag=TAG),
            ),
            gate=self._gates["s3"],
            clock=clock,
            metrics=_metrics(),
            trusted=self._sync.registered,
        )
        self._quiet = _Patient(journal=journal, clock=clock, complete_after_seconds=COMPLETE_AFTER_SECONDS)
        self._noticer = Noticer(outside, journal, power, clock=clock, removal=scenario.removal)

    def work(self) -> list[Coroutine[Any, Any, None]]:
        """Return what runs side by side."""
        sweeper = [self._tidier().run()] if self._scenario.tidy else []
        pruning = [self._prune()] if self._scenario.prune else []
        reconciling = [self._reconcile_on_wish()] if self._scenario.reconciles else []
        return [
            self._notice(),
            self._sync.lookup.run(),
            self._upload.run(),
            self._sync.run(),
            self._sync.expiry.run(),
            self._sync.scene_recovery.run(),
            self._quiet.run(),
            *(gate.run() for gate in self._gates.values()),
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
        source = SimpleNamespace(remotes=self._gates, watch=watch, read=read)
        drain = Drain(
            source=cast("DaemonSource", source),  # what a drain asks of it
            quiet=self._quiet,
            cleaner=self._upload.cleaner,
            grace_seconds=GRACE_SECONDS,
            syncing=True,
            asking=lambda: self._sync.scene_recovery.is_asking,
        )
        try:
            owed = await drain.run()
        finally:
            reader.close()
        return owed.is_clean

    async def _notice(self) -> None:
        """The first scan ends the recall."""
        await self._journal.do(Journal.begin_recovery)
        watched = [] if self._scenario.removal == "keep" else [ROOT]
        await self._journal.do(Journal.drop_undecided_removals, watched=watched)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._noticer.run())
            await self._noticer.listed.wait()
            await self._sync.lookup.end()
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
        reconciler = self._reconciler()
        while True:
            due = self._outside.next_at() or 0.0
            await asyncio.sleep(max(ASK_AGAIN_SECONDS, due - self._outside.now))
            if "reconcile" not in self._outside.wishes:
                continue
            try:
                report = await reconciler.reconcile(frozenset(InconsistencyType))
            except (SidecarError, ReconcileBusyError):
                continue
            if not report.found and not await self._journal.do(_is_busy):
                self._outside.grant("reconcile")

    def _reconciler(self) -> Reconciler:
        return Reconciler(
            journal=self._journal,
            journal_path=self._outside.ledger.path,
            bucket=BUCKET,
            tag=TAG,
            sidecar_id=SIDECAR,
            objects=self._s3,
            metadata=self._convex,
            sync=self._sync,
            gates=list(self._gates.values()),
            url=_url,
            clock=self._clock,
            skews=lambda: [0.0, 0.0],
            retention=RETENTION,
            every_seconds=3600.0,
            apply=True,
        )

    def _gate(self, remote: str, store: SimulatedS3 | SimulatedConvex) -> RemoteGate:
        return RemoteGate(
            remote=remote,
            probe=store.probe,
            retry=RetryPolicy(),
            breaker=BreakerPolicy(),
            clock=self._clock,
            jitter=self._chance.random,
        )

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

"""Sends the outbox to Convex, batch by batch.

One call is in flight per session, a few sessions are told at once. An idle session is flushed at once;
while its call is in flight, and until ``batch.wait`` after its last flush began, its ops gather. After a
full batch there is nothing to gather for: the next one goes at once.
"""

from __future__ import annotations

import asyncio

from sidecar.core.clock import Clock
from sidecar.core.ops import Batch
from sidecar.gate import RemoteGate
from sidecar.journal.db.connection import Topic
from sidecar.journal.stores.batches import Batches
from sidecar.journal.writer import AsyncJournal
from sidecar.metrics import Metrics
from sidecar.settings.convex import BatchSettings

from .concurrency import Concurrency
from .delivery import Delivery
from .expiry import ExpiryStage
from .heartbeat import HeartbeatStage
from .lookup import LookupStage
from .registration import Registrar
from .scene_recovery import SceneRecoveryStage
from .store import MetadataStore

BURST = 20  # a batch of more than a twentieth of the most is part of one: some 100 ops a second
TRICKLE_SECONDS = 0.02  # what gathers after a smaller one
ROUND_SECONDS = 0.01  # uploads wake us hundreds of times a second; looking this often is enough


class SyncStage:
    """Claims batches, delivers them, records what Convex made of them.

    ``registered`` is set while Convex knows our journal. ``lookup``, ``scene_recovery``, ``expiry`` and
    ``heartbeat`` are stages of their own, to be run beside this one.
    """

    def __init__(
        self,
        *,
        store: MetadataStore,
        journal: AsyncJournal,
        gate: RemoteGate,
        batch: BatchSettings,
        sidecar_id: str,
        clock: Clock,
        metrics: Metrics,
        is_first: bool | None = None,
    ) -> None:
        """Build the parts; nothing is sent before ``run``. ``is_first`` as ``LookupStage`` says."""
        self._journal = journal
        self._gate = gate
        self._batch = batch
        self._clock = clock
        self._concurrency = Concurrency()
        self._registrar = Registrar(store=store, journal=journal, gate=gate, sidecar_id=sidecar_id)
        self.lookup = LookupStage(
            journal=journal, store=store, gate=gate, registrar=self._registrar, is_first=is_first
        )
        self.expiry = ExpiryStage(
            store=store, journal=journal, gate=gate, registrar=self._registrar, sidecar_id=sidecar_id
        )
        self.scene_recovery = SceneRecoveryStage(
            store=store, journal=journal, gate=gate, registrar=self._registrar, sidecar_id=sidecar_id
        )
        self.heartbeat = HeartbeatStage(
            store=store, gate=gate, registrar=self._registrar, sidecar_id=sidecar_id
        )
        self._delivery = Delivery(
            store=store,
            journal=journal,
            gate=gate,
            registrar=self._registrar,
            concurrency=self._concurrency,
            sidecar_id=sidecar_id,
            clock=clock,
            metrics=metrics,
        )
        self._work = journal.subscribe(Topic.OUTBOX)
        self._in_flight = 0
        self._busy: set[str] = set()  # sessions with a call in flight, or gathering after one

    @property
    def registered(self) -> asyncio.Event:
        """Set while Convex knows our journal."""
        return self._registrar.registered

    @property
    def epoch(self) -> int:
        """The journal's epoch; 0 before the first registration."""
        return self._registrar.epoch

    async def run(self) -> None:
        """Register, then tell for ever.

        Raises FatalError (perhaps in an ExceptionGroup) if a newer journal of this sidecar took over,
        JournalLostError if ours is an old copy.
        """
        await self._registrar.register()
        async with asyncio.TaskGroup() as calls:
            while True:
                self._work.clear()
                await self._gate.passable()
                due = await self._launch(calls)
                await asyncio.sleep(ROUND_SECONDS)
                await self._work_or(due)

    async def _launch(self, calls: asyncio.TaskGroup) -> float | None:
        """Start a call for every session that has due ops; return when to look again."""
        while self._in_flight < self._concurrency.parallel:
            batch, due = await self._journal.do(
                Batches.claim_batch,
                limit=self._batch.ops,
                now=self._clock.monotonic(),
                busy=frozenset(self._busy),
            )
            if batch is None:
                return due
            self._in_flight += 1
            self._busy.add(batch.session_id)
            calls.create_task(self._deliver(batch))
        return None

    async def _deliver(self, batch: Batch) -> None:
        began = self._clock.monotonic()
        try:
            await self._delivery.deliver(batch)
        finally:
            self._in_flight -= 1
            self._work.set()
        gathering = gather_seconds(len(batch.ops), most=self._batch.ops, wait_seconds=self._batch.wait)
        await asyncio.sleep(max(0.0, began + gathering - self._clock.monotonic()))
        self._busy.discard(batch.session_id)
        self._work.set()

    async def _work_or(self, due: float | None) -> None:
        seconds = None if due is None else max(0.0, due - self._clock.monotonic())
        try:
            async with asyncio.timeout(seconds):
                await self._work.wait()
        except TimeoutError:
            return


def gather_seconds(ops: int, *, most: int, wait_seconds: float) -> float:
    """Return how long a session gathers from the begin of a call with so many ops.

    A full batch has more behind it: nothing to wait for. A small one was no burst: whoever comes next
    must not pay for company that does not come.
    """
    if ops >= most:
        return 0.0
    return wait_seconds if ops * BURST > most else min(wait_seconds, TRICKLE_SECONDS)

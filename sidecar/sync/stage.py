"""Sends the outbox to Convex, batch by batch.

One call is in flight per session, which keeps the order of its ops; a few sessions are told at once. Which
ops go and which gather is decided where they are claimed (``core/batching.py``). The stage looks for more
when ops entered the outbox, when some are due by time, and when a call has ended that kept others back:
never without a cause.
"""

from __future__ import annotations

import asyncio

from sidecar.core.clock import Clock
from sidecar.core.ops import Batch
from sidecar.core.unknown_entities import UnknownEntities
from sidecar.gate import RemoteGate
from sidecar.journal.db.connection import Topic
from sidecar.journal.stores.batches import Batches
from sidecar.journal.writer import AsyncJournal
from sidecar.metrics import Metrics
from sidecar.settings.convex import BatchSettings

from .backend import BackendStore
from .compensation import Compensation
from .concurrency import Concurrency
from .delivery import Delivery
from .expiry import ExpiryStage
from .heartbeat import HeartbeatStage
from .lookup import LookupStage
from .registration import Registrar
from .scene_recovery import SceneRecoveryStage
from .store import MetadataStore

PAUSE_SECONDS = 0.04  # after a look in vain, unless a call ends: ops of a burst enter ever so often


class SyncStage:
    """Claims batches, delivers them, records what Convex made of them.

    ``registered`` is set while Convex knows our journal. ``lookup``, ``scene_recovery``, ``expiry`` and
    ``heartbeat`` are stages of their own, to be run beside this one. ``unknown`` is what ops wait for.
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
        takes_back: bool = False,
        backend: BackendStore | None = None,
    ) -> None:
        """Build the parts; nothing is sent before ``run``. ``is_first`` as ``LookupStage`` says.

        ``takes_back``: objects go whose metadata is refused for good; ``backend`` as ``Compensation`` says.
        """
        self._journal = journal
        self._gate = gate
        self._batch = batch
        self._clock = clock
        self._concurrency = Concurrency()
        self.unknown = UnknownEntities()
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
            unknown=self.unknown,
            sidecar_id=sidecar_id,
            clock=clock,
            metrics=metrics,
            compensation=Compensation(store=store, backend=backend) if takes_back else None,
        )
        self._work = journal.subscribe(Topic.OUTBOX)
        self._busy: set[str] = set()  # sessions with a call in flight
        self._passed_over = False  # somebody looked and could not claim all, for a call that is in flight
        self._call_ended = asyncio.Event()

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
                await self._work_or(await self._look(calls))

    async def _look(self, calls: asyncio.TaskGroup) -> float | None:
        """Start a call for every session whose ops go now; return when to look again, by time alone."""
        places = self._concurrency.parallel - len(self._busy)
        self._passed_over |= bool(self._busy)
        self._call_ended.clear()
        if places <= 0:
            return None
        claimed = await self._journal.do(
            Batches.claim_batches,
            limit=self._batch.ops,
            now=self._clock.monotonic(),
            busy=frozenset(self._busy),
            sessions_max=places,
            wait_seconds=self._batch.wait,
            unknown=self.unknown.now(),
        )
        self._passed_over |= not claimed.is_all
        for batch in claimed.batches:
            self._busy.add(batch.session_id)
            calls.create_task(self._deliver(batch))
        if claimed.is_gathering or (self._busy and not claimed.batches):
            await _set_within(self._call_ended, PAUSE_SECONDS)
        return claimed.due

    async def _deliver(self, batch: Batch) -> None:
        try:
            await self._delivery.deliver(batch)
        finally:
            self._busy.discard(batch.session_id)
            self._call_ended.set()
            if self._passed_over:
                self._passed_over = False
                self._work.set()

    async def _work_or(self, due: float | None) -> None:
        seconds = None if due is None else max(0.0, due - self._clock.monotonic())
        await _set_within(self._work, seconds)


async def _set_within(event: asyncio.Event, seconds: float | None) -> None:
    """Wait until an event is set, so many seconds at most."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return

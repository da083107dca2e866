"""Delivers one batch: sends it, settles it, and decides what follows when it fails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import structlog

from sidecar.core.clock import Clock
from sidecar.core.errors import SidecarError
from sidecar.core.ops import Batch, Op, OpKind, OpOutcome, OpResult
from sidecar.core.retry import Again, GiveUp
from sidecar.core.unknown_entities import ITSELF, UnknownEntities
from sidecar.gate import RemoteGate
from sidecar.journal.stores.answers import Answers
from sidecar.journal.stores.batches import Batches
from sidecar.journal.writer import AsyncJournal
from sidecar.metrics import Metrics

from .bisect import Blames, is_refusal, search
from .compensation import Compensation, Verdicts
from .concurrency import Concurrency
from .registration import FENCED, UNREGISTERED, Registrar, fenced
from .store import MetadataStore

log = structlog.get_logger()
UNKNOWN_SESSION = "UNKNOWN_SESSION"


class Delivery:
    """Carries batches to the store and their outcomes to the journal."""

    def __init__(
        self,
        *,
        store: MetadataStore,
        journal: AsyncJournal,
        gate: RemoteGate,
        registrar: Registrar,
        concurrency: Concurrency,
        unknown: UnknownEntities,
        sidecar_id: str,
        clock: Clock,
        metrics: Metrics,
        compensation: Compensation | None = None,
    ) -> None:
        """``gate`` is Convex's; ``concurrency`` hears of throttling, ``unknown`` of what is not there.

        ``compensation`` takes uploads back.
        """
        self._store = store
        self._journal = journal
        self._gate = gate
        self._registrar = registrar
        self._concurrency = concurrency
        self._unknown = unknown
        self._sidecar_id = sidecar_id
        self._clock = clock
        self._metrics = metrics
        self._compensation = compensation

    async def deliver(self, batch: Batch) -> None:
        """Send a claimed batch and record the outcome of every op, or when each is due again.

        Raises FatalError if this sidecar is fenced.
        """
        await self._gate.admit(_target(batch.ops))
        error = await self._send(batch, batch.ops)
        if error is not None:
            await self._failed(batch, error)

    async def _send(self, batch: Batch, ops: Sequence[Op]) -> SidecarError | None:
        """Make one call for some ops of a batch; settle them, or return the error."""
        epoch = self._registrar.epoch
        began = self._clock.monotonic()
        try:
            with self._metrics.concurrent_operations.labels("sync").track_inprogress():
                results = await self._store.apply(
                    replace(batch, ops=tuple(ops)), sidecar_id=self._sidecar_id, epoch=epoch
                )
        except SidecarError as error:
            self._metrics.errors_total.labels(kind=error.kind, stage="sync").inc()
            if error.asks_for_less:
                self._concurrency.throttled()
            if error.code == FENCED:
                raise fenced(error) from error
            if error.code == UNREGISTERED:
                self._gate.withdraw()  # registering needs the door
                await self._registrar.forgotten(epoch)
            return error
        finally:
            self._metrics.sync_duration_seconds.observe(self._clock.monotonic() - began)
        self._gate.succeeded(_target(ops), "call")
        if self._concurrency.succeeded():
            await self._journal.do(Batches.hasten_ops)
        await self._settle(replace(batch, ops=tuple(ops)), results)
        _log_remarks(results)
        return None

    async def _settle(self, batch: Batch, results: Sequence[OpResult]) -> None:
        """Record the outcomes. What Convex could not be asked about is sent once more.

        What names an entity that is not there goes back, and waits for it.
        """
        verdicts = Verdicts()
        if self._compensation is not None:
            verdicts = await self._compensation.judge(batch, results)
        by_id = {op.op_id: op for op in batch.ops}
        known = [one for one in results if one.op_id not in verdicts.later]
        settled = [one for one in known if one.outcome is not OpOutcome.UNKNOWN]
        missed = {by_id[one.op_id]: one for one in known if one.outcome is OpOutcome.UNKNOWN}
        if settled:
            await self._journal.do(Answers.settle, settled, taken_back=verdicts.taken_back)
        is_found = self._found(batch.session_id, [by_id[one.op_id] for one in settled])
        self._missed(batch.session_id, missed)
        if missed or is_found:
            await self._journal.do(Batches.release_ops, _seqs(list(missed)))
        if verdicts.error is not None:
            await self._failed_later([op for op in batch.ops if op.op_id in verdicts.later], verdicts.error)

    def _found(self, session_id: str, ops: Sequence[Op]) -> bool:
        """Tell whether anything waited for what these ops name; a removal may name what is not there."""
        if not self._unknown.of(session_id):
            return False
        telling = [op for op in ops if op.kind is not OpKind.REMOVE]
        found = [self._unknown.found(session_id, op.scene_id or ITSELF) for op in telling]
        return any(found)

    def _missed(self, session_id: str, missed: Mapping[Op, OpResult]) -> None:
        now = self._clock.monotonic()
        reasons = {_unknown_of(op, result): result.message for op, result in missed.items()}
        if reasons and ITSELF not in reasons:
            self._unknown.found(session_id)
        for scene_id, message in reasons.items():
            why = message or "Convex does not know what it names"
            if self._unknown.missed(session_id, scene_id, why, now=now):
                log.warning("entity_unknown", session_id=session_id, scene_id=scene_id or None, message=why)

    async def _failed(self, batch: Batch, error: SidecarError) -> None:
        spent = await self._journal.do(Batches.op_failures, _seqs(batch.ops))
        decision = await self._gate.failed(_target(batch.ops), error, failures=spent)
        if len(batch.ops) > 1 and is_refusal(error) and self._gate.answers:
            await self._bisect(batch, is_refusal)
        elif len(batch.ops) > 1 and isinstance(decision, GiveUp):  # something in it breaks the call itself
            await self._bisect(batch, lambda other: is_refusal(other) or other.kind is error.kind)
        else:
            await self._record(batch.ops, error, decision)

    async def _bisect(self, batch: Batch, blames: Blames) -> None:
        async def send(ops: Sequence[Op]) -> SidecarError | None:
            return await self._send(batch, ops)

        for op in batch.ops:
            self._gate.begin(op.op_id)
        ops = [replace(op, is_repeated=True) for op in batch.ops]
        found = await search(ops, send, blames=blames)
        for op, error in found.refused:
            await self._failed(replace(batch, ops=(op,)), error)
        if found.left and found.outage is not None:
            await self._failed_later(found.left, found.outage)
        elif found.left:
            await self._failed_later(found.left, found.refused[-1][1])

    async def _failed_later(self, ops: Sequence[Op], error: SidecarError) -> None:
        """Put ops back whose fault it cannot be: none spends an attempt."""
        decision = await self._gate.failed(_target(ops), error, failures=0)
        delay = decision.delay_seconds if isinstance(decision, Again) else 0.0
        await self._record(ops, error, Again(delay_seconds=delay, spent=False))

    async def _record(self, ops: Sequence[Op], error: SidecarError, decision: Again | GiveUp) -> None:
        match decision:
            case Again(delay_seconds=delay, spent=spent):
                due = self._clock.monotonic() + delay
                await self._journal.do(Batches.fail_ops, _seqs(ops), error, due=due, spent=spent)
            case GiveUp():
                await self._journal.do(Answers.mark_ops_dead, _seqs(ops), error)


def _unknown_of(op: Op, result: OpResult) -> str:
    return ITSELF if result.code == UNKNOWN_SESSION else op.scene_id or ITSELF


def _target(ops: Sequence[Op]) -> str:
    """Name a batch by its oldest op, which stays the oldest however the batch is composed anew."""
    return ops[0].op_id


def _seqs(ops: Sequence[Op]) -> list[int]:
    return [op.seq for op in ops]


def _log_remarks(results: Sequence[OpResult]) -> None:
    """Log what Convex remarked about ops that it took: a slot taken over from another sidecar."""
    for result in results:
        if result.code is not None and result.outcome not in {OpOutcome.REJECTED, OpOutcome.UNKNOWN}:
            log.warning("op_remarked", op_id=result.op_id, code=result.code, message=result.message)

"""Rids S3 of what we left there: debts, what late requests may leave, forgotten uploads.

``doubts.py`` says where S3 is looked at again. An open upload of ours that the journal does not know, and of
which no doubt was noted, is found by the sweep: at the start, every ``reconcile.every``, and when a drain
owes nothing else.
"""

from __future__ import annotations

import asyncio
import math

import structlog

from sidecar.core.breaker import BreakerState
from sidecar.core.clock import Clock
from sidecar.core.errors import ErrorKind, SidecarError
from sidecar.core.ids import sidecar_tag, time_of
from sidecar.core.retry import GiveUp
from sidecar.gate import Gate
from sidecar.journal.journal import Debt, Journal, Topic
from sidecar.metrics import Metrics

from .cleanup import Paid, is_forgotten, pay
from .tools import Tools
from .waiting import wait_for

DEBTS_AT_ONCE = 16
DEBT_RETRY_SECONDS = 60.0
HURRIED_RETRY_SECONDS = 1.0
SWEEPS_REFUSED_MAX = 3  # a right that is missing for good must not open the breaker
SWEEP_SECONDS = 6 * 3600.0
YOUNG_MS = 60_000  # the age of a transfer whose PUT may be on its way once more

log = structlog.get_logger()


class Cleaner:
    """Pays debts, looks again where a late request may have left something, and sweeps."""

    def __init__(
        self,
        *,
        tools: Tools,
        gate: Gate,
        clock: Clock,
        metrics: Metrics,
        trusted: asyncio.Event | None = None,
        sweep_seconds: float = SWEEP_SECONDS,
    ) -> None:
        """``trusted`` as ``UploadStage`` says; ``sweep_seconds`` lie between two sweeps."""
        self._tools, self._gate, self._clock, self._metrics = tools, gate, clock, metrics
        self._journal, self._doubts = tools.journal, tools.doubts
        self._trusted, self._sweep_seconds = trusted, sweep_seconds
        self._retry_seconds, self._is_hurried = DEBT_RETRY_SECONDS, False
        self._debts = self._journal.subscribe(Topic.DEBTS)

    @property
    def doubts(self) -> int:
        """How many places are still to be looked at again."""
        return len(self._doubts)

    async def run(self) -> None:
        """Clean up for ever, once the journal is trusted."""
        if self._trusted is not None:
            await self._trusted.wait()
        for debt in await self._journal.do(Journal.in_doubt):
            self._doubts.add(debt)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._sweep_on())
            tasks.create_task(self._look_again())
            await self._pay_debts()

    async def hurry(self) -> None:
        """Hurry, since the daemon is to stop: nothing waits for its time any more."""
        self._retry_seconds, self._is_hurried = HURRIED_RETRY_SECONDS, True
        self._doubts.hasten()
        await self._journal.do(Journal.hasten_debts)

    async def finish(self) -> None:
        """Sweep once more, if S3 is there: the next start may be far away."""
        if self._gate.state is not BreakerState.CLOSED or (self._trusted and not self._trusted.is_set()):
            return
        try:
            await self._sweep()
        except SidecarError as error:
            log.warning("last_sweep_failed", error=str(error))

    async def sweep(self) -> None:
        """Abort every open upload that is ours and that the journal does not know; call it once registered.

        Waits out an outage. A listing that is refused again and again is reported and left to the
        bucket's own rule.
        """
        target, refused = "sweep", 0
        while True:
            await self._gate.admit(target)
            try:
                await self._sweep()
            except SidecarError as error:
                decision = await self._gate.failed(target, error, failures=0)
                refused += error.kind is ErrorKind.FORBIDDEN
                if refused >= SWEEPS_REFUSED_MAX or isinstance(decision, GiveUp):
                    log.warning("forgotten_uploads_cannot_be_swept", error=str(error))
                    return
                await asyncio.sleep(decision.delay_seconds)
            else:
                self._gate.answered(target)
                return

    # -- debts and doubts -------------------------------------------------------------------------
    async def _pay_debts(self) -> None:
        while True:
            self._debts.clear()
            now = self._clock.monotonic()
            debts = await self._journal.do(Journal.claim_debts, limit=DEBTS_AT_ONCE, now=now)
            for debt in debts:
                await self._pay(debt)
            if not debts:  # postponed ones are asked for again
                await wait_for(self._debts, now + self._retry_seconds, clock=self._clock)

    async def _pay(self, debt: Debt) -> None:
        paid = await self._attempt(debt, f"debt {debt.id}")
        if paid is Paid.LATER and debt not in self._doubts:
            due = self._clock.monotonic() + self._retry_seconds
            await self._journal.do(Journal.postpone_debt, debt.id, due=due)
            return
        if paid is Paid.NOTHING or self._may_return(debt):
            self._doubts.add(debt)  # first: a drain looks at both
        if debt in self._doubts:  # owed until the last look: a kill must not forget it
            await self._journal.do(Journal.postpone_debt, debt.id, due=math.inf)
        else:
            await self._journal.do(Journal.settle_debt, debt.id)

    def _may_return(self, debt: Debt) -> bool:
        """Tell whether a PUT that the network delivers twice may make the deleted object once more."""
        return debt.delete_object and abs(self._clock.wall_ms() - time_of(debt.transfer)) < YOUNG_MS

    async def _look_again(self) -> None:
        while True:
            self._doubts.changed.clear()
            for doubt in self._doubts.due():
                if await self._attempt(doubt, f"doubt {doubt.key}") is Paid.LATER:
                    self._doubts.postpone(doubt, seconds=self._retry_seconds)
                # A hurried look is no last one: the debt stays, and the next start looks again.
                elif self._doubts.looked(doubt) and not self._is_hurried:
                    await self._journal.do(Journal.settle_debt, doubt.id)
            await wait_for(self._doubts.changed, self._doubts.next_due(), clock=self._clock)

    async def _attempt(self, debt: Debt, target: str) -> Paid:
        """Try a clean-up; LATER also where S3 failed."""
        await self._gate.admit(target)
        try:
            paid = await pay(debt, store=self._tools.store, journal=self._journal)
        except SidecarError as error:
            self._metrics.errors_total.labels(kind=error.kind, stage="cleanup").inc()
            await self._gate.failed(target, error, failures=0)
            return Paid.LATER
        self._gate.answered(target)
        return paid

    # -- the sweep --------------------------------------------------------------------------------
    async def _sweep_on(self) -> None:
        while True:
            await self.sweep()
            await asyncio.sleep(self._sweep_seconds)

    async def _sweep(self) -> None:
        """List first, ask the journal second: an upload that is begun meanwhile is journaled before."""
        tag = sidecar_tag(self._tools.sidecar_id)
        found = [upload async for upload in self._tools.store.open_uploads(prefix="")]
        known = await self._journal.do(Journal.open_uploads)
        for upload in found:
            if is_forgotten(upload, known, tag=tag):
                await self._tools.store.abort(upload)
                log.info("forgotten_upload_aborted", key=upload.key, upload_id=upload.upload_id)

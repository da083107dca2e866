"""SHIP: claims ready transfers, sends them side by side, and cleans up what S3 is owed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import assert_never

import structlog

from sidecar.core.clock import Clock
from sidecar.core.errors import ErrorKind, SidecarError
from sidecar.core.ids import sidecar_tag
from sidecar.core.model import Transfer
from sidecar.core.retry import Again, GiveUp
from sidecar.gate import Gate
from sidecar.journal.journal import Debt, Journal, Topic
from sidecar.metrics import Metrics

from .cleanup import is_forgotten, pay
from .flight import Flight
from .store import OpenUpload
from .tools import Tools
from .transfer import ship

CONCURRENCY_AUTO = 32  # small files wait for round trips; the memory budget bounds the large ones
DEBTS_AT_ONCE = 16
DEBT_RETRY_SECONDS = 60.0
SWEEPS_REFUSED_MAX = 3  # a right that is missing for good must not open the breaker

log = structlog.get_logger()


class UploadStage:
    """From ``ready`` to ``uploaded``. ``run`` ends only by cancellation."""

    def __init__(
        self,
        *,
        tools: Tools,
        gate: Gate,
        clock: Clock,
        metrics: Metrics,
        concurrency: int = CONCURRENCY_AUTO,
        trusted: asyncio.Event | None = None,
    ) -> None:
        """``concurrency`` is the number of transfers at once.

        ``trusted`` is set once the journal is known not to be an old copy, whose debts may be void; None:
        nobody can tell.
        """
        self._trusted = trusted
        self._tools = tools
        self._journal = tools.journal
        self._gate = gate
        self._clock = clock
        self._metrics = metrics
        self._concurrency = concurrency
        self._flights: dict[int, Flight] = {}
        self._work = self._journal.subscribe(Topic.UPLOADS)
        self._debts = self._journal.subscribe(Topic.DEBTS)

    def flights(self) -> Sequence[Flight]:
        """Return the uploads under way."""
        return list(self._flights.values())

    async def run(self) -> None:
        """Ship what is ready, as it becomes ready."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._pay_debts())
            while True:
                self._work.clear()
                free = self._concurrency - len(self._flights)
                next_due = await self._start(tasks, free) if free else None
                await self._wait(self._work, next_due)

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
                    log.warning("forgotten uploads cannot be swept", error=str(error))
                    return
                await asyncio.sleep(decision.delay_seconds)
            else:
                self._gate.succeeded(target)
                return

    # -- transfers --------------------------------------------------------------------------------
    async def _start(self, tasks: asyncio.TaskGroup, free: int) -> float | None:
        """Claim and start as many as are free; return when the next one is due, if none is now."""
        claim = await self._journal.do(Journal.claim_uploads, limit=free, now=self._clock.monotonic())
        for transfer in claim.transfers:
            flight = Flight(
                transfer=transfer.transfer,
                path=transfer.display,
                size_bytes=transfer.size_bytes,
                on_part=partial(self._gate.succeeded, transfer.transfer),
            )
            self._flights[transfer.id] = flight
            tasks.create_task(self._ship(transfer, flight))
        if claim.transfers:
            self._work.set()  # there may be more, or a later one is due: ask once again
        return claim.next_due

    async def _ship(self, transfer: Transfer, flight: Flight) -> None:
        try:
            await self._attempt(transfer, flight)
        except asyncio.CancelledError:  # the multipart upload stays open: its ID and parts are journaled
            await self._journal.do(Journal.release, transfer.id)
            raise
        finally:
            del self._flights[transfer.id]
            self._work.set()

    async def _attempt(self, transfer: Transfer, flight: Flight) -> None:
        await self._gate.admit(transfer.transfer)
        begun = self._clock.monotonic()
        try:
            with self._metrics.concurrent_operations.labels(operation="upload").track_inprogress():
                shipped = await ship(transfer, tools=self._tools, flight=flight)
        except SidecarError as error:
            await self._failed(transfer, error, flight)
            return
        if not shipped:
            self._gate.withdraw(transfer.transfer)
            return
        self._gate.succeeded(transfer.transfer)
        self._metrics.upload_duration_seconds.observe(self._clock.monotonic() - begun)
        self._metrics.asset_size_bytes.observe(transfer.size_bytes)

    async def _failed(self, transfer: Transfer, error: SidecarError, flight: Flight) -> None:
        """Let the gate decide; a part that was confirmed in this attempt has set the count back."""
        self._metrics.errors_total.labels(kind=error.kind, stage="upload").inc()
        failures = 0 if flight.confirmed else transfer.failures
        decision = await self._gate.failed(transfer.transfer, error, failures=failures)
        match decision:
            case Again(delay_seconds=delay_seconds, spent=spent):
                due = self._clock.monotonic() + delay_seconds
                await self._journal.do(Journal.fail_upload, transfer.id, error, due=due, spent=spent)
            case GiveUp():
                await self._journal.do(Journal.bury, transfer.id, error)
            case _:
                assert_never(decision)

    # -- clean-up ---------------------------------------------------------------------------------
    async def _pay_debts(self) -> None:
        if self._trusted is not None:
            await self._trusted.wait()
        while True:
            self._debts.clear()
            now = self._clock.monotonic()
            debts = await self._journal.do(Journal.claim_debts, limit=DEBTS_AT_ONCE, now=now)
            for debt in debts:
                await self._pay(debt)
            if not debts:  # postponed ones are asked for again
                await self._wait(self._debts, now + DEBT_RETRY_SECONDS)

    async def _pay(self, debt: Debt) -> None:
        target = f"debt {debt.id}"
        await self._gate.admit(target)
        try:
            await pay(debt, store=self._tools.store)
        except SidecarError as error:
            self._metrics.errors_total.labels(kind=error.kind, stage="cleanup").inc()
            await self._gate.failed(target, error, failures=0)
            due = self._clock.monotonic() + DEBT_RETRY_SECONDS
            await self._journal.do(Journal.postpone_debt, debt.id, due=due)
        else:
            self._gate.succeeded(target)
            await self._journal.do(Journal.settle_debt, debt.id)

    async def _sweep(self) -> None:
        """List first, ask the journal second: an upload that is begun meanwhile is journaled before."""
        tag = sidecar_tag(self._tools.sidecar_id)
        found = [upload async for upload in self._tools.store.open_uploads(prefix="")]
        known = await self._journal.do(Journal.open_uploads)
        for upload in found:
            if is_forgotten(upload, known, tag=tag):
                await self._abort(upload)

    async def _abort(self, upload: OpenUpload) -> None:
        await self._tools.store.abort(upload)
        log.info("forgotten upload aborted", key=upload.key, upload_id=upload.upload_id)

    async def _wait(self, event: asyncio.Event, due: float | None) -> None:
        """Wait for work, or until ``due`` (monotonic seconds of our clock)."""
        try:
            async with asyncio.timeout(None if due is None else max(0.0, due - self._clock.monotonic())):
                await event.wait()
        except TimeoutError:
            return

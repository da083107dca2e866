"""Rids S3 of what we left there: clean-up tasks, what late requests may leave, forgotten uploads.

``rechecks.py`` says where S3 is looked at again. An open upload of ours that the journal does not know, and
of which no doubt was noted, is found by the sweep: at the start, every ``reconcile.every``, and when a drain
owes nothing else.
"""

from __future__ import annotations

import asyncio

import structlog

from sidecar.core.breaker import BreakerState
from sidecar.core.clock import Clock
from sidecar.core.errors import ErrorKind, SidecarError
from sidecar.core.ids import sidecar_tag, time_of
from sidecar.core.retry import Decision, GiveUp
from sidecar.gate import RemoteGate
from sidecar.journal.db.connection import Topic
from sidecar.journal.stores.cleanup import Cleanup, CleanupTask
from sidecar.journal.stores.multipart import MultipartUploads
from sidecar.metrics import Metrics
from sidecar.retrying import retry
from sidecar.upload.context import UploadContext
from sidecar.upload.waiting import wait_for

from .actions import CleanupOutcome, clean_up, is_forgotten

TASKS_AT_ONCE = 16
RETRY_SECONDS = 60.0
HURRIED_RETRY_SECONDS = 1.0
SWEEPS_REFUSED_MAX = 3  # a right that is missing for good must not open the breaker
SWEEP_SECONDS = 6 * 3600.0
YOUNG_MS = 60_000  # the age of a transfer whose PUT may be on its way once more

log = structlog.get_logger()


class CleanupWorker:
    """Runs clean-up tasks, looks again where a late request may have left something, and sweeps."""

    def __init__(
        self,
        *,
        context: UploadContext,
        gate: RemoteGate,
        clock: Clock,
        metrics: Metrics,
        trusted: asyncio.Event | None = None,
        sweep_seconds: float = SWEEP_SECONDS,
    ) -> None:
        """``trusted`` as ``UploadStage`` says; ``sweep_seconds`` lie between two sweeps."""
        self._context, self._gate, self._clock, self._metrics = context, gate, clock, metrics
        self._journal, self._rechecks = context.journal, context.rechecks
        self._trusted, self._sweep_seconds = trusted, sweep_seconds
        self._retry_seconds, self._is_hurried = RETRY_SECONDS, False
        self._work = self._journal.subscribe(Topic.CLEANUP)

    @property
    def rechecks(self) -> int:
        """How many places are still to be looked at again."""
        return len(self._rechecks)

    async def run(self) -> None:
        """Clean up for ever, once the journal is trusted."""
        if self._trusted is not None:
            await self._trusted.wait()
        for task in await self._journal.do(Cleanup.rechecks):
            self._rechecks.add(task)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._sweep_forever())
            tasks.create_task(self._recheck())
            await self._run_tasks()

    async def hurry(self) -> None:
        """Hurry, since the daemon is to stop: nothing waits for its time any more."""
        self._retry_seconds, self._is_hurried = HURRIED_RETRY_SECONDS, True
        self._rechecks.hasten()
        await self._journal.do(Cleanup.hasten_cleanup)

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
        refused = 0

        def pause(error: SidecarError, decision: Decision) -> float:
            nonlocal refused
            refused += error.kind is ErrorKind.FORBIDDEN
            if refused >= SWEEPS_REFUSED_MAX or isinstance(decision, GiveUp):
                raise error
            return decision.delay_seconds

        try:
            await retry(self._gate, "sweep", self._sweep, pause=pause)
        except SidecarError as error:
            log.warning("forgotten_uploads_cannot_be_swept", error=str(error))

    # -- clean-up tasks and rechecks -------------------------------------------------------------------------
    async def _run_tasks(self) -> None:
        while True:
            self._work.clear()
            now = self._clock.monotonic()
            tasks = await self._journal.do(Cleanup.claim_cleanup, limit=TASKS_AT_ONCE, now=now)
            for task in tasks:
                await self._run_task(task)
            if not tasks:  # postponed ones are asked for again
                await wait_for(self._work, now + self._retry_seconds, clock=self._clock)

    async def _run_task(self, task: CleanupTask) -> None:
        outcome = await self._attempt(task, f"debt {task.id}")
        if outcome is CleanupOutcome.LATER and task not in self._rechecks:
            due = self._clock.monotonic() + self._retry_seconds
            await self._journal.do(Cleanup.postpone_cleanup, task.id, due=due)
            return
        may_come_yet = outcome is CleanupOutcome.NOTHING or self._may_return(task)
        if may_come_yet and not self._rechecks.is_late(task):
            self._rechecks.add(task)  # first: a drain looks at both
        if task in self._rechecks:  # owed until the last look: a kill must not forget it
            await self._journal.do(Cleanup.leave_to_rechecks, task.id)
        else:
            await self._journal.do(Cleanup.complete_cleanup, task.id)

    def _may_return(self, task: CleanupTask) -> bool:
        """Tell whether a PUT that the network delivers twice may make the deleted object once more."""
        return task.delete_object and abs(self._clock.wall_ms() - time_of(task.transfer_id)) < YOUNG_MS

    async def _recheck(self) -> None:
        while True:
            self._rechecks.changed.clear()
            for task in self._rechecks.due():
                if await self._attempt(task, f"doubt {task.key}") is CleanupOutcome.LATER:
                    self._rechecks.postpone(task, seconds=self._retry_seconds)
                # A hurried look is no last one: the clean-up task stays, and the next start looks again.
                elif self._rechecks.rechecked(task) and not self._is_hurried:
                    await self._journal.do(Cleanup.complete_cleanup, task.id)
            await wait_for(self._rechecks.changed, self._rechecks.next_due(), clock=self._clock)

    async def _attempt(self, task: CleanupTask, target: str) -> CleanupOutcome:
        """Try a clean-up; LATER also where S3 failed."""
        await self._gate.admit(target)
        try:
            outcome = await clean_up(task, store=self._context.store, journal=self._journal)
        except SidecarError as error:
            self._metrics.errors_total.labels(kind=error.kind, stage="cleanup").inc()
            await self._gate.failed(target, error, failures=0)
            return CleanupOutcome.LATER
        self._gate.answered(target)
        return outcome

    # -- the sweep --------------------------------------------------------------------------------
    async def _sweep_forever(self) -> None:
        while True:
            await self.sweep()
            await asyncio.sleep(self._sweep_seconds)

    async def _sweep(self) -> int:
        """List first, ask the journal second: an upload that is begun meanwhile is journaled before.

        Return how many are open.
        """
        tag = sidecar_tag(self._context.sidecar_id)
        found = [upload async for upload in self._context.store.open_uploads(prefix="")]
        known = await self._journal.do(MultipartUploads.open_uploads)
        for upload in found:
            if is_forgotten(upload, known, tag=tag):
                await self._context.store.abort(upload)
                log.info("forgotten_upload_aborted", key=upload.key, upload_id=upload.upload_id)
        return len(found)

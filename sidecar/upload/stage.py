"""Claims ready transfers and sends them side by side."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import count
from typing import assert_never

from sidecar.core.clock import Clock
from sidecar.core.errors import ErrorKind, SidecarError
from sidecar.core.model import Transfer
from sidecar.core.retry import Again, GiveUp
from sidecar.core.upload_order import CROWD, LIGHT_BYTES, Rank, UploadRoom, reserved, room
from sidecar.gate import RemoteGate
from sidecar.journal.db.connection import Topic
from sidecar.journal.stores.upload_claims import Claim, UploadClaims
from sidecar.journal.stores.uploads import Uploads
from sidecar.metrics import Metrics
from sidecar.obstacles import Obstacles
from sidecar.upload.cleanup.worker import SWEEP_SECONDS, CleanupWorker

from .context import UploadContext
from .progress import UploadProgress
from .source import Found, Opened, open_sources
from .transfer import upload
from .unreadable_sources import UnreadableSources
from .waiting import wait_for

CONCURRENCY_AUTO = 32  # small files wait for round trips; the memory budget bounds the large ones
_Upload = tuple[Transfer, UploadProgress]
RESERVED_SECONDS = 1.0  # between two looks for what is less urgent than all that takes the places


class UploadStage:
    """Takes transfers from ``ready`` to ``uploaded``. ``run`` ends only by cancellation."""

    def __init__(
        self,
        *,
        context: UploadContext,
        gate: RemoteGate,
        clock: Clock,
        metrics: Metrics,
        concurrency: int = CONCURRENCY_AUTO,
        trusted: asyncio.Event | None = None,
        sweep_seconds: float = SWEEP_SECONDS,
        obstacles: Obstacles | None = None,
    ) -> None:
        """``concurrency`` is the number of transfers at once (of one rank: ``core/upload_order.py``).

        ``sweep_seconds`` lie between two sweeps.

        ``trusted`` is set once the journal is known not to be an old copy, whose clean-up tasks may be void;
        None: nobody can tell. ``obstacles`` are shared with whoever else reads files.
        """
        self._context = context
        self._journal = context.journal
        self._gate = gate
        self._clock = clock
        self._metrics = metrics
        self._under_way = metrics.under_way("upload")
        self._concurrency = concurrency
        self._uploads: dict[int, UploadProgress] = {}
        self.on_crowd: Callable[[bool], None] = lambda _: None  # hears that a crowd is under way, or over
        self._is_crowd = False
        self._may_wait = True  # something may be ready that the last claim had no place for
        self._numbers = count()
        self._reserved_at, self._served = float("-inf"), -1  # when a place was for the less urgent, and whose
        self._work = self._journal.subscribe(Topic.UPLOADS)
        self._sources = UnreadableSources(
            journal=self._journal, clock=clock, obstacles=obstacles or Obstacles(clock)
        )
        self.cleaner = CleanupWorker(
            context=context,
            gate=gate,
            clock=clock,
            metrics=metrics,
            trusted=trusted,
            sweep_seconds=sweep_seconds,
        )

    def uploads(self) -> Sequence[UploadProgress]:
        """Return the uploads under way."""
        return list(self._uploads.values())

    async def run(self) -> None:
        """Ship what is ready, as it becomes ready, and clean up."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self.cleaner.run())
                tasks.create_task(self._sources.run())
                await self._send_all(tasks)
        finally:
            for progress in self._uploads.values():  # of tasks that ended before they began
                progress.close()
            self._uploads.clear()
            self._look_for_crowd()

    async def _send_all(self, tasks: asyncio.TaskGroup) -> None:
        while True:
            self._work.clear()
            self._may_wait = True  # who ends while this looks makes it look again
            await self._start_less_urgent(tasks)
            room = self._room()
            claim = await self._start(tasks, room) if room else None
            next_due = claim.next_due if claim else None
            is_all = room and claim and room.is_for_all and not claim.is_full
            self._may_wait = not is_all
            await wait_for(self._work, next_due, clock=self._clock)

    # -- transfers --------------------------------------------------------------------------------
    def _room(self) -> UploadRoom | None:
        return room(self._ranks(), wanted=self._concurrency, part_bytes=self._context.part_bytes)

    def _ranks(self) -> list[Rank]:
        """Return the ranks of what takes a place: what S3 has needs none until that is written down."""
        return [progress.rank for progress in self._uploads.values() if not progress.is_stored]

    def _stored(self) -> None:
        """Let the next ones be claimed while this one is written down, perhaps in the same commit."""
        if self._may_wait:
            self._work.set()

    async def _start_less_urgent(self, tasks: asyncio.TaskGroup) -> None:
        """Give what is less urgent its share of the places, now and then."""
        now = self._clock.monotonic()
        if len(self._uploads) < self._concurrency or now - self._reserved_at < RESERVED_SECONDS:
            return
        room = reserved(self._ranks(), wanted=self._concurrency, served=self._served)
        if room is None:
            return
        claim = await self._start(tasks, room)
        self._reserved_at = now
        self._served = max((one.route.priority for one in claim.transfers), default=-1)

    def _rank(self, transfer: Transfer, *, is_begun: bool) -> Rank:
        size_bytes = transfer.size_bytes
        return Rank(
            priority=transfer.route.priority,
            is_large=size_bytes >= self._context.part_bytes,
            is_fresh=not is_begun,
            number=transfer.row_id if is_begun else next(self._numbers),
            is_light=size_bytes <= LIGHT_BYTES,
        )

    async def _start(self, tasks: asyncio.TaskGroup, room: UploadRoom) -> Claim:
        """Claim and start as many as may begin."""
        claim = await self._journal.do(
            UploadClaims.claim_uploads,
            limit=room.count,
            light_limit=room.light,
            now=self._clock.monotonic(),
            priority=room.priority,
            shorter_than_bytes=room.shorter_than_bytes,
            least_priority=room.least_priority,
            part_bytes=self._context.part_bytes,
            intend_below_bytes=min(self._context.part_bytes, LIGHT_BYTES + 1),
        )
        of_roots = defaultdict[str, list[_Upload]](list)
        for transfer in claim.transfers:
            progress = self._progress(transfer, claim)
            self._uploads[transfer.row_id] = progress
            of_roots[transfer.root].append((transfer, progress))
        self._look_for_crowd()
        for some in of_roots.values():
            tasks.create_task(self._begin(tasks, some))
        if claim.is_full:
            self._work.set()  # there may be more: ask once again
        return claim

    def _look_for_crowd(self) -> None:
        """Note a crowd of light files, from more than are wanted of others until hardly any is left."""
        least = self._concurrency // CROWD if self._is_crowd else self._concurrency
        if (len(self._uploads) > least) == self._is_crowd:
            return
        if not self._is_crowd and not all(one.rank.is_light for one in self._uploads.values()):
            return
        self._is_crowd = not self._is_crowd
        self.on_crowd(self._is_crowd)

    def _progress(self, transfer: Transfer, claim: Claim) -> UploadProgress:
        return UploadProgress(
            transfer_id=transfer.transfer_id,
            path=transfer.display,
            size_bytes=transfer.size_bytes,
            rank=self._rank(transfer, is_begun=transfer.row_id in claim.begun),
            is_intended=transfer.row_id in claim.intended,
            gate=self._gate,
            on_stored=self._stored,
        )

    async def _begin(self, tasks: asyncio.TaskGroup, some: Sequence[_Upload]) -> None:
        """Open files of one root together, once they may go, and send each by itself."""
        if len(some) > 1 and not self._gate.lets_all_pass:
            for one in some:
                tasks.create_task(self._begin(tasks, [one]))
            return
        try:
            for transfer, _ in some:
                await self._gate.admit(transfer.transfer_id)
            begun = self._clock.monotonic()
            transfers = [transfer for transfer, _ in some]
            found = await open_sources(transfers, part_bytes=self._context.part_bytes)
        except asyncio.CancelledError:
            for transfer, progress in some:
                await self._let_go(transfer, progress)
            raise
        for (transfer, progress), file in zip(some, found, strict=True):
            if isinstance(file, Opened):
                progress.opened = file
                self._sources.opened(transfer)
            tasks.create_task(self._run(transfer, progress, file, begun=begun))

    async def _run(self, transfer: Transfer, progress: UploadProgress, found: Found, *, begun: float) -> None:
        is_settled = False
        try:
            is_settled = await self._attempt(transfer, progress, found, begun=begun)
        except asyncio.CancelledError:  # the multipart upload stays open: its ID and parts are journaled
            await self._let_go(transfer, progress)
            raise
        finally:
            progress.close()
            self._uploads.pop(transfer.row_id, None)
            self._look_for_crowd()
            if not is_settled or (self._may_wait and not progress.is_stored):
                self._work.set()

    async def _let_go(self, transfer: Transfer, progress: UploadProgress) -> None:
        never_asked = not (transfer.may_object or progress.has_asked)
        await self._journal.do(UploadClaims.release, transfer.row_id, never_asked=never_asked)

    async def _attempt(
        self, transfer: Transfer, progress: UploadProgress, found: Found, *, begun: float
    ) -> bool:
        """Send it; tell whether it was sent, and so is not to be claimed again."""
        try:
            with self._under_way:
                uploaded = await upload(transfer, found, context=self._context, progress=progress)
        except SidecarError as error:
            await self._failed(transfer, error, progress)
            return False
        await self._sources.ended(transfer)
        if not uploaded:
            self._gate.withdraw(transfer.transfer_id)
            return False
        self._gate.succeeded(transfer.transfer_id, progress.delivered_by)
        self._metrics.upload_duration_seconds.observe(self._clock.monotonic() - begun)
        self._metrics.asset_size_bytes.observe(progress.size_bytes)
        return transfer.known_content is None

    async def _failed(self, transfer: Transfer, error: SidecarError, progress: UploadProgress) -> None:
        """Let the gate decide; a part that was confirmed in this attempt has set the count back."""
        self._metrics.errors_total.labels(kind=error.kind, stage="upload").inc()
        if error.kind is ErrorKind.LOCAL_IO:  # ours: it says nothing of S3, nor of this file alone
            self._gate.withdraw(transfer.transfer_id)
            await self._sources.failed(transfer, error)
            return
        failures = 0 if progress.confirmed else transfer.failures
        decision = await self._gate.failed(transfer.transfer_id, error, failures=failures)
        match decision:
            case Again(delay_seconds=delay_seconds, spent=spent):
                due = self._clock.monotonic() + delay_seconds
                await self._journal.do(UploadClaims.fail_upload, transfer.row_id, error, due=due, spent=spent)
            case GiveUp():
                await self._journal.do(Uploads.mark_dead, transfer.row_id, error)
            case _:
                assert_never(decision)

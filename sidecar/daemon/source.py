"""Answers what the endpoint may ask: the daemon's parts, seen through status/source.py's protocols."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from sidecar.core.clock import disagreement
from sidecar.core.errors import SidecarError
from sidecar.core.inconsistencies import InconsistencyType
from sidecar.core.reconcile_report import ReconcileReport
from sidecar.gate import DISPLAY
from sidecar.journal.read.reader import JournalReader
from sidecar.journal.stores.removal_decisions import RemovalDecisions
from sidecar.journal.stores.repairs import Repairs
from sidecar.journal.writer import JournalWriter
from sidecar.log_lines import LineWriter
from sidecar.status.source import CannotError
from sidecar.upload.checksum_negotiation import ChecksumNegotiation
from sidecar.upload.progress import UploadProgress
from sidecar.watch.stage import WatchStage

from .heartbeat import LIMIT_SECONDS, Heartbeat
from .housekeeping import Housekeeping
from .reconciling import ReconcileBusyError, Reconciler
from .remotes import Remotes
from .stages import Shared, Stages

T = TypeVar("T")


class DaemonSource:
    """The daemon as the endpoint sees it: read live."""

    heartbeat_limit_seconds = LIMIT_SECONDS

    def __init__(
        self,
        *,
        shared: Shared,
        journal: JournalWriter,
        journal_path: Path,
        reader: JournalReader,
        remotes: Remotes,
        stages: Stages,
        watch: WatchStage,
        heartbeat: Heartbeat,
        housekeeping: Housekeeping,
        reconciler: Reconciler | None,
        lines: LineWriter | None,
        checking: ChecksumNegotiation,
    ) -> None:
        """``lines`` is None where whoever logs writes itself."""
        self.sidecar_id, self.journal_path = shared.sidecar_id, journal_path
        self.watch, self.remotes = watch, remotes.gates
        self.checksum = checking
        self.is_draining = False
        self.reload_problem: str | None = None
        self._reconciler, self._lines = reconciler, lines
        self._upload, self._sync, self._journal, self._reader = stages.upload, stages.sync, journal, reader
        self._heartbeat, self._clock, self._started = heartbeat, shared.clock, shared.clock.monotonic()
        self._skews, self._housekeeping, self._obstacles = remotes.skews, housekeeping, shared.obstacles

    def uptime_seconds(self) -> float:
        """Return the time since the daemon was built."""
        return self._clock.monotonic() - self._started

    def wall_ms(self) -> int:
        """Return the wall clock's time."""
        return self._clock.wall_ms()

    def draining(self) -> bool:
        """Tell whether the daemon was asked to stop."""
        return self.is_draining

    def not_ready(self) -> Sequence[str]:
        """Return why the daemon is not ready yet, as sentences."""
        if self.watch.ready.is_set():
            return []
        return [
            f"{root.root}: {root.problem}" if root.problem else f"the first scan of {root.root} is not done"
            for root in self.watch.status()
        ]

    def troubles(self) -> Sequence[str]:
        """Return what else degrades the daemon, as sentences."""
        unregistered = self._sync is not None and not self._sync.registered.is_set()
        sentences = [
            self._journal.trouble,
            self._journal.journal.db.quarantined,
            self.reload_problem,
            "Convex has not registered this journal yet" if unregistered else None,
            *(disagreement(DISPLAY[remote], skew()) for remote, skew in self._skews.items()),
            *self._housekeeping.troubles(),
            *self._obstacles.reasons(said={root.root for root in self.watch.status() if root.problem}),
        ]
        return [sentence for sentence in sentences if sentence]

    def log_lines(self) -> tuple[int, str | None]:
        """Return how many log lines were dropped, and why none can be written now."""
        return (0, None) if self._lines is None else (self._lines.dropped, self._lines.trouble)

    def waits_for(self, session_id: str, scene_id: str | None) -> str | None:
        """Return which session or scene is to be made before Convex is told of it, as a sentence."""
        return self._sync.unknown.why(session_id, scene_id) if self._sync else None

    def unknown_entities(self) -> Sequence[str]:
        """Return what is waited for in the same way, as sentences."""
        return self._sync.unknown.reasons() if self._sync else []

    def obstacle(self, path: str) -> str | None:
        """Return what keeps an absolute path from being read now, as a sentence."""
        return self._obstacles.at(path)

    def heartbeats(self) -> Mapping[str, float]:
        """Return the age in seconds of the newest beat of the loop and of the journal."""
        return self._heartbeat.ages()

    def clock_skew_seconds(self) -> Mapping[str, float]:
        """Return our clock minus each remote's, where known."""
        measured = {remote: skew() for remote, skew in self._skews.items()}
        return {remote: seconds for remote, seconds in measured.items() if seconds is not None}

    def uploads(self) -> Sequence[UploadProgress]:
        """Return the uploads under way."""
        return self._upload.uploads()

    async def read(self, question: Callable[[JournalReader], T]) -> T:
        """Ask the journal off the event loop."""
        return await asyncio.to_thread(question, self._reader)

    async def reconcile(self, *, apply: bool) -> ReconcileReport:
        """Compare journal, bucket and Convex; with ``apply`` journal the repairs. Raises CannotError."""
        if self._reconciler is None:
            raise CannotError("convex.sync is off: there is nothing to compare with")
        types = frozenset(InconsistencyType) if apply else frozenset[InconsistencyType]()
        try:
            return await self._reconciler.reconcile(types)
        except (SidecarError, ReconcileBusyError) as error:
            raise CannotError(str(error)) from error

    async def decide_removals(self, *, confirm: bool, root: str | None, path: str) -> int:
        """Remove, or keep, what was asked about or refused at and below a path; returns how many."""
        decide = RemovalDecisions.confirm_removals if confirm else RemovalDecisions.dismiss_removals
        decided, last = 0, 0
        while page := await self._journal.do(decide, root=root, path=path, after=last):
            decided, last = decided + len(page), page[-1]
        return decided

    async def requeue(self, *, transfer_id: str | None, path: str | None, error_kind: str | None) -> int:
        """Send dead letters that match all given filters back to work; returns how many."""
        return await self._journal.do(
            Repairs.requeue, transfer_id=transfer_id, path=path, error_kind=error_kind
        )

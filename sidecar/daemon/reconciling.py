"""Compares journal, bucket and Convex, when asked and every ``reconcile.every``; retention is part of it.

`sidecar reconcile` asks the running daemon (`POST /reconcile`), since without a daemon there is nothing to
compare that a start would not settle. What each side holds is gathered page by page into a private database
on disk (``journal/read/comparison.py``), so that 100,000 assets cost no memory and work goes on meanwhile.
The table in ``core/inconsistencies.py`` judges each key. Nothing is judged by age unless both remotes'
clocks agree with ours within 15 minutes.

A dry run only reports. Otherwise each repair is a requeue or a clean-up task in the journal, checked against
what is true by then (``journal/stores/repairs.py``), and the stages carry it out. A version is marked as
expired in Convex before its object becomes a clean-up task; a crash in between is a row of the table.
Retention's three rows of the table are repaired in each periodic run, the others only where
``reconcile.apply`` says so. To reconciling a removed version is one that was superseded (`removal:
tombstone`) or expired (`removal: delete`). What sidecars left that are gone: ``left_behind.py``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path

import structlog

from sidecar.core.clock import Clock, is_near
from sidecar.core.errors import ErrorKind, SidecarError
from sidecar.core.inconsistencies import InconsistencyType, RepairRow, judge
from sidecar.core.ops import AssetVersion
from sidecar.core.reconcile_report import Inconsistency, ReconcileReport
from sidecar.gate import RemoteGate
from sidecar.journal.read.comparison import Comparison, Seen
from sidecar.journal.stores.repairs import Repairs
from sidecar.journal.writer import AsyncJournal
from sidecar.settings.daemon import Retention
from sidecar.sync.backend import BackendStore
from sidecar.sync.stage import SyncStage
from sidecar.sync.store import MetadataStore
from sidecar.upload.store import ObjectStore

from .blocking import finished
from .left_behind import LeftBehind
from .repairing import Repairer

PAGE = 1000
AT_ONCE = 100
EXAMPLES_MAX = 100
RETENTION = frozenset(
    {InconsistencyType.RETIRED, InconsistencyType.EXPIRED_OBJECT, InconsistencyType.DELETED_SCENE}
)
About = Callable[[Seen, RepairRow], Awaitable[bool]]
log = structlog.get_logger()


class ReconcileBusyError(Exception):
    """It cannot be compared now; the message is one sentence."""


class Reconciler:
    """Compares one at a time. ``last`` is the newest report."""

    def __init__(
        self,
        *,
        journal: AsyncJournal,
        journal_path: Path,
        bucket: str,
        tag: str,
        sidecar_id: str,
        objects: ObjectStore,
        metadata: MetadataStore,
        sync: SyncStage,
        gates: Sequence[RemoteGate],
        url: Callable[[str], str],
        clock: Clock,
        skews: Callable[[], Sequence[float | None]],
        retention: Retention,
        every_seconds: float,
        apply: bool,
        backend: BackendStore | None = None,
    ) -> None:
        """``skews`` are our clock minus each remote's; ``apply`` is for the periodic runs.

        ``backend`` is Convex as well, if what sidecars left that are gone is to be looked after.
        """
        self._journal, self._path, self._bucket, self._tag = journal, journal_path, bucket, tag
        self._sidecar_id, self._objects, self._metadata = sidecar_id, objects, metadata
        self._sync, self._gates = sync, gates
        self._clock, self._skews, self._retention = clock, skews, retention
        self._every_seconds, self._apply = every_seconds, apply
        self._repairer = Repairer(
            journal=journal, metadata=metadata, sync=sync, sidecar_id=sidecar_id, url=url
        )
        self._left = None if backend is None else LeftBehind(backend, journal, bucket, tag, self._is_retired)
        self._one_at_a_time = asyncio.Lock()
        self.last: ReconcileReport | None = None

    async def run(self) -> None:
        """Compare every ``every_seconds``, for ever; a remote that is away only skips a turn."""
        while True:
            await asyncio.sleep(self._every_seconds)
            await self._sync.registered.wait()
            for gate in self._gates:
                await gate.passable()
            types = frozenset(InconsistencyType) if self._apply else RETENTION
            try:
                report = await self.reconcile(types)
            except (SidecarError, ReconcileBusyError) as error:
                log.warning("not_reconciled", error=str(error))
            else:
                log.info("reconciled", compared=report.compared, found=dict(report.found), notes=report.notes)

    async def reconcile(
        self, types: frozenset[InconsistencyType], *, about: About | None = None
    ) -> ReconcileReport:
        """Compare everything, and journal the repairs of these types.

        ``about`` chooses what counts; None: all.
        Raises SidecarError if a remote does not answer, ReconcileBusyError while a comparison would mislead.
        """
        if self._one_at_a_time.locked():
            raise ReconcileBusyError("a comparison is under way already")
        if not self._sync.registered.is_set():
            raise ReconcileBusyError("Convex has not registered this journal yet")
        async with self._one_at_a_time:
            if (why := await self._journal.do(Repairs.may_compare)) is not None:
                raise ReconcileBusyError(why)
            comparison = await asyncio.to_thread(Comparison, self._path, bucket=self._bucket, tag=self._tag)
            with closing(comparison):
                self.last = await self._compare(comparison, types, about)
            return self.last

    async def _compare(
        self, comparison: Comparison, types: frozenset[InconsistencyType], about: About | None
    ) -> ReconcileReport:
        report = ReconcileReport()
        await self._gather(comparison, report)
        now_ms = self._remote_now_ms()
        if now_ms is None:
            report.notes.append("the clocks disagree by more than 15 min: nothing is judged by its age")
        shown = comparison.seen(now_ms=now_ms)
        while batch := await finished(_judged, shown, AT_ONCE, report, stop=comparison.stop):
            for seen, row in await self._repairer.confirmed(batch):
                if about is not None and not await about(seen, row):
                    continue
                report.found[row.type] += 1
                if len(report.examples) < EXAMPLES_MAX:
                    report.examples.append(Inconsistency(type=row.type, key=seen.key, repair=row.repair))
                if row.type in types and await self._repairer.repair(seen, row):
                    report.repaired[row.type] += 1
        if self._left is not None:

            async def named(keys: Sequence[str]) -> Collection[str]:
                return await finished(comparison.named, keys, stop=comparison.stop)

            await self._left.look(report, types, named=named)
        return report

    # -- gathering --------------------------------------------------------------------------------
    async def _gather(self, comparison: Comparison, report: ReconcileReport) -> None:
        cursor: str | None = None
        while True:
            page = await self._metadata.versions(sidecar_id=self._sidecar_id, cursor=cursor)
            now_ms = self._remote_now_ms()
            judged = [(one, self._is_retired(one, now_ms)) for one in page.versions]
            await finished(comparison.add_versions, judged, stop=comparison.stop)
            if (cursor := page.cursor) is None:
                break
        try:
            uploads = [(one.key, one.upload_id) async for one in self._objects.open_uploads(prefix="")]
        except SidecarError as error:
            if error.kind is not ErrorKind.FORBIDDEN:
                raise
            report.notes.append(f"open uploads cannot be listed: {error}")
        else:
            await finished(comparison.add_uploads, uploads, stop=comparison.stop)
        found: list[tuple[str, int, int]] = []
        if self._left is not None:
            self._left.begin(now_ms=self._remote_now_ms())
        async for one in self._objects.list_objects(prefix=""):
            found.append((one.key, one.size_bytes, one.modified_ms))
            if self._left is not None:
                self._left.take(*found[-1])
            if len(found) >= PAGE:
                await finished(comparison.add_objects, found, stop=comparison.stop)
                found = []
        await finished(comparison.add_objects, found, stop=comparison.stop)

    def _is_retired(self, version: AssetVersion, now_ms: int | None) -> bool:
        kept = self._retention.superseded
        if now_ms is None or version.superseded_ms is None or version.newer <= kept.keep:
            return False
        return now_ms - version.superseded_ms > kept.for_ * 1000

    def _remote_now_ms(self) -> int | None:
        """The time, where all clocks agree well enough to delete by age."""
        now_ms = self._clock.wall_ms()  # before the question: a jump in between is seen
        skews = self._skews()
        return now_ms if all(map(is_near, skews)) else None


def _judged(shown: Iterator[Seen], limit: int, report: ReconcileReport) -> list[tuple[Seen, RepairRow]]:
    """Read on until so many inconsistencies are found, or to the end."""

    def found() -> Iterator[tuple[Seen, RepairRow]]:
        for seen in shown:
            report.compared += 1
            if (row := judge(seen.evidence)) is not None:
                yield seen, row

    return list(islice(found(), limit))

"""Looks after what sidecars left in the bucket that are gone, with credentials of the role `backend`.

Nobody else would: no retention of their own retires their versions, and objects of which they could not
tell stay for ever. The bucket is listed here, never by Convex. What carries another sidecar's tag and is
older than a week is asked about: Convex says which of it was left by sidecars that it has not heard of for a
week, in the projects of this journal. What an op in somebody's outbox still names is younger than that.

The table of ``core/inconsistencies.py`` judges it like our own, and the same settings say what is repaired.
Before an object becomes a clean-up task Convex is asked once more, or has marked its version as expired. A
turn asks about ten thousand objects, and the next one goes on behind them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field

import structlog

from sidecar.core.batched import batched
from sidecar.core.errors import ErrorKind, SidecarError
from sidecar.core.ids import tags_in, transfer_in
from sidecar.core.inconsistencies import InconsistencyType, KeyEvidence, Repair, RepairRow, judge
from sidecar.core.ops import AssetVersion
from sidecar.core.reconcile_report import Inconsistency, ReconcileReport
from sidecar.journal.stores.cleanup import Cleanup
from sidecar.journal.stores.scenes import Scenes
from sidecar.journal.writer import AsyncJournal
from sidecar.sync.backend import IDS_MAX, BackendStore, LeftObject

LEFT_SECONDS = 7 * 24 * 3600.0
ASKED_MAX = 10_000
EXAMPLES_MAX = 100
Named = Callable[[Sequence[str]], Awaitable[Collection[str]]]
log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    key: str
    size_bytes: int
    modified_ms: int


@dataclass(slots=True)
class LeftBehind:
    """One turn after another. ``is_retired`` says whether retention gives a version up."""

    backend: BackendStore
    journal: AsyncJournal
    bucket: str
    tag: str
    is_retired: Callable[[AssetVersion, int | None], bool]
    _after: str = ""
    _now_ms: int | None = None
    _found: list[_Found] = field(default_factory=list)

    def begin(self, *, now_ms: int | None) -> None:
        """A listing begins, at a time by S3's clock; None: clocks disagree, and nothing is judged by age."""
        self._found, self._now_ms = [], now_ms

    def take(self, key: str, size_bytes: int, modified_ms: int) -> None:
        """Take in an object of the bucket; they come in the order of their keys."""
        if self._now_ms is None or self._now_ms - modified_ms < LEFT_SECONDS * 1000:
            return
        tags = tags_in(key)
        if tags and self.tag not in tags and key > self._after and len(self._found) < ASKED_MAX:
            self._found.append(_Found(key=key, size_bytes=size_bytes, modified_ms=modified_ms))

    async def look(
        self, report: ReconcileReport, types: frozenset[InconsistencyType], *, named: Named
    ) -> None:
        """Judge what was taken in, and journal the repairs of these types. Raises SidecarError.

        What the journal has ``named`` itself, under another ``sidecar_id`` of before, is its own.
        """
        found, self._found = self._found, []
        self._after = found[-1].key if len(found) == ASKED_MAX else ""
        projects = await self.journal.do(Scenes.projects) if found else []
        if self._now_ms is None or not projects:
            return
        try:
            for some in batched(found, IDS_MAX):
                ours = await named([one.key for one in some])
                others = [one for one in some if one.key not in ours]
                await self._look_at(others, projects, report, types, self._now_ms)
        except SidecarError as error:
            if not _is_no_backend(error):
                raise
            log.debug("not_a_backend", error=str(error))

    async def _look_at(
        self,
        some: Sequence[_Found],
        projects: Sequence[str],
        report: ReconcileReport,
        types: frozenset[InconsistencyType],
        now_ms: int,
    ) -> None:
        if not (keys := [one.key for one in some]):
            return
        left = await self.backend.left_objects(self.bucket, keys, projects)
        owed = await self.journal.do(Cleanup.owed_deletions, keys)
        report.compared += len(some)
        for one, what in zip(some, left, strict=True):
            if what is None:
                continue
            evidence = self._evidence(one, what, is_pending=one.key in owed, now_ms=now_ms)
            if (row := judge(evidence)) is None:
                continue
            report.found[row.type] += 1
            if len(report.examples) < EXAMPLES_MAX:
                report.examples.append(Inconsistency(type=row.type, key=one.key, repair=row.repair))
            if row.type in types and await self._repair(one.key, what, row, projects):
                report.repaired[row.type] += 1

    def _evidence(self, one: _Found, what: LeftObject, *, is_pending: bool, now_ms: int) -> KeyEvidence:
        version = what.version
        return KeyEvidence(
            is_pending=is_pending,
            size_bytes=version.size_bytes if version else None,
            object_bytes=one.size_bytes,
            object_age_seconds=(now_ms - one.modified_ms) / 1000,
            version=version.status if version else None,
            retired=version is not None and self.is_retired(version, now_ms),
        )

    async def _repair(self, key: str, what: LeftObject, row: RepairRow, projects: Sequence[str]) -> bool:
        """Have the object deleted, if it is confirmed once more that nothing shows it."""
        version = what.version
        transfer_id = version.transfer_id if version else _transfer(key)
        if transfer_id is None:
            return False
        if row.repair is Repair.EXPIRE and version is not None:
            names = [(version.slot, version.version)]
            if await self.backend.expire_versions(what.project_id, names) != [True]:
                return False
        elif row.repair is Repair.DELETE:
            if await self.backend.left_objects(self.bucket, [key], projects) != [what]:
                return False
        else:
            return False
        await self.journal.do(Cleanup.add_key_cleanup, key, transfer_id=transfer_id)
        return True


def _transfer(key: str) -> str | None:
    """Return the transfer that an object is of; None where a key names several sidecars'."""
    tags = tags_in(key)
    return transfer_in(key, tags.pop()) if len(tags) == 1 else None


def _is_no_backend(error: SidecarError) -> bool:
    """Tell whether these credentials, or functions of before, do not let us look."""
    return error.kind is ErrorKind.FORBIDDEN or error.redacted

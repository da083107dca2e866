"""The operations of the endpoint: what each one reads from its request and answers with."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

from sidecar.core.model import Transfer
from sidecar.core.paths import absolute
from sidecar.core.removal import Removal
from sidecar.journal.read.reader import JournalReader
from sidecar.metrics import Metrics

from . import view
from .asset_models import AssetPage, Explanation, WaitReply
from .disks import DiskGauge
from .explain import explain
from .ledger import LedgerReader
from .locate import located
from .models import Health, Readiness, Status
from .operating_models import (
    Inconsistency,
    ReconcileReply,
    ReconcileRequest,
    RemovalPage,
    RemovalReply,
    RemovalRequest,
    RequeueReply,
    RequeueRequest,
    RescanReply,
)
from .pages import page, removal_page
from .query import BadRequestError, Given, duration_seconds, name_of, needed, page_of, state_of
from .source import StatusSource
from .wait import scope_of, wait

WAIT_DEFAULT = "30m"
WAIT_STATUS = {"synced": 200, "failed": 409, "timeout": 504}  # for whoever has nothing but curl
WAIT_SECONDS_MAX = 24 * 3600.0
WAITERS_MAX = 32


class BusyError(Exception):
    """Too many clients ask for something long at once."""


class Api:
    """Every public method answers one operation (``operations.py``).

    Raises BadRequestError for the client's mistakes.
    """

    def __init__(self, *, source: StatusSource, metrics: Metrics) -> None:
        """``source`` knows the state, ``metrics`` what happened."""
        self._source = source
        self._metrics = metrics
        self._disks = DiskGauge(Path(source.journal_path))
        self._ledger = LedgerReader(source)
        self._waiters = asyncio.Semaphore(WAITERS_MAX)

    async def health(self, _given: Given) -> tuple[int, Health]:
        """Fails only on a wedge."""
        reply = view.health(self._source)
        return (200 if reply.status == "ok" else 503), reply

    async def ready(self, _given: Given) -> tuple[int, Readiness]:
        """Fails until the first scan is done."""
        reply = view.readiness(self._source)
        return (200 if reply.ready else 503), reply

    async def status(self, _given: Given) -> tuple[int, Status]:
        """Everything at a glance."""
        disks, ledger = await self._disks.measure(self._roots()), await self._ledger.read()
        return 200, await view.status(self._source, disks, ledger)

    async def metrics(self, _given: Given) -> tuple[int, bytes]:
        """Return Prometheus's text."""
        disks, ledger = await self._disks.measure(self._roots()), await self._ledger.read()
        mirror = await view.mirror(self._source, disks, ledger)
        return 200, self._metrics.expose(mirror)

    async def assets(self, given: Given) -> tuple[int, AssetPage]:
        """Transfers, by id."""
        limit, after = page_of(given)
        state = state_of(given)
        session_id, entity_id = name_of(given, "session_id"), name_of(given, "entity_id")
        rows, gone = await self._source.read(
            lambda journal: _with_removals(
                journal,
                journal.assets(
                    session_id=session_id, entity_id=entity_id, state=state, limit=limit + 1, after=after
                ),
            )
        )
        return 200, page(rows, gone, limit=limit)

    async def dead_letters(self, given: Given) -> tuple[int, AssetPage]:
        """Transfers that were given up."""
        limit, after = page_of(given)
        rows = await self._source.read(lambda journal: journal.dead_letters(limit=limit + 1, after=after))
        return 200, page(rows, {}, limit=limit)

    async def removals(self, given: Given) -> tuple[int, RemovalPage]:
        """Files that are gone while Convex shows their assets."""
        limit, after = page_of(given)
        rows = await self._source.read(lambda journal: journal.removals(limit=limit + 1, after=after))
        return 200, removal_page(rows, limit=limit)

    async def confirm_removals(self, request: RemovalRequest) -> tuple[int, RemovalReply]:
        """Remove files that are gone: that was meant."""
        return await self._decide_removals(request, confirm=True)

    async def dismiss_removals(self, request: RemovalRequest) -> tuple[int, RemovalReply]:
        """Keep what is shown of files that are gone."""
        return await self._decide_removals(request, confirm=False)

    async def _decide_removals(self, request: RemovalRequest, *, confirm: bool) -> tuple[int, RemovalReply]:
        if not (request.all or request.path):
            raise BadRequestError("no files are named", 'give a path, or "all": true')
        found = await located(self._source, request.path) if request.path is not None else (None, "")
        decided = await self._source.decide_removals(confirm=confirm, root=found[0], path=found[1])
        return 200, RemovalReply(decided=decided)

    async def explain(self, given: Given) -> tuple[int, Explanation]:
        """Everything about one path."""
        return 200, await explain(self._source, needed(given, "path"))

    async def wait(self, given: Given) -> tuple[int, WaitReply]:
        """Answer when everything asked for is synced, or cannot be."""
        scope = await scope_of(self._source, path=given.get("path"), session_id=name_of(given, "session"))
        if self._waiters.locked():
            raise BusyError(f"{WAITERS_MAX} clients wait already")
        async with self._waiters:
            reply = await wait(
                self._source,
                scope,
                timeout_seconds=_seconds(given, "timeout", WAIT_DEFAULT),
                appear_seconds=_seconds(given, "appear", "0s"),
            )
        return WAIT_STATUS[reply.result], reply

    async def requeue(self, request: RequeueRequest) -> tuple[int, RequeueReply]:
        """Send dead letters back to work."""
        if not (request.all or request.transfer or request.path or request.error_kind):
            raise BadRequestError(
                "no dead letters are named", 'give transfer, path or error_kind, or "all": true'
            )
        path = None if request.path is None else absolute(*await located(self._source, request.path))
        number = await self._source.requeue(
            transfer_id=request.transfer, path=path, error_kind=request.error_kind
        )
        return 200, RequeueReply(requeued=number)

    async def reconcile(self, request: ReconcileRequest) -> tuple[int, ReconcileReply]:
        """Compare journal, bucket and Convex."""
        report = await self._source.reconcile(apply=request.apply)
        return 200, ReconcileReply(
            applied=request.apply,
            compared=report.compared,
            found=dict(report.found),
            repaired=dict(report.repaired),
            examples=[
                Inconsistency(type=one.type, key=one.key, repair=one.repair) for one in report.examples
            ],
            notes=list(report.notes),
        )

    async def rescan(self, _given: Given) -> tuple[int, RescanReply]:
        """Scan all roots now."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        await self._source.watch.scan_now()
        return 200, RescanReply(seconds=round(loop.time() - begun, 3))

    def _roots(self) -> Sequence[str]:
        return self._source.watch.roots()


def _with_removals(
    journal: JournalReader, rows: Sequence[Transfer]
) -> tuple[Sequence[Transfer], Mapping[int, Removal]]:
    return rows, journal.removals_of([row.row_id for row in rows])


def _seconds(given: Given, name: str, default: str) -> float:
    return min(duration_seconds(given.get(name, default)), WAIT_SECONDS_MAX)

"""Takes the snapshots behind /status, /metrics, /healthz, /readyz and the lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sidecar import __version__
from sidecar.core.account import FileClass
from sidecar.core.breaker import BreakerState
from sidecar.core.findings import Finding
from sidecar.core.model import State, Transfer
from sidecar.core.removal import Removal, RemovalState
from sidecar.metrics import Mirror

from .disks import Disks
from .ledger import Ledger, attention, total
from .models import (
    Asset,
    AssetPage,
    Backlog,
    ChecksumReport,
    Fault,
    Health,
    JournalReport,
    LastError,
    LogReport,
    MissingFile,
    Pending,
    PendingReport,
    Readiness,
    RemoteStatus,
    RemovalPage,
    RemovalReport,
    RootReport,
    Status,
    Unsent,
    Upload,
)
from .source import Candidate, Checksum, Remote, RootStatus, StatusSource, UploadProgress
from .wording import count, hint_for, iso, iso_or_none

EXAMPLES_MAX = 20


def health(source: StatusSource) -> Health:
    """Tell whether a restart would cure something; asks neither the journal nor a disk nor a remote."""
    beats = dict(source.heartbeats())
    limit = source.heartbeat_limit_seconds
    wedged = any(age > limit for age in beats.values())
    return Health(status="wedged" if wedged else "ok", heartbeats=beats, limit_seconds=limit)


def readiness(source: StatusSource) -> Readiness:
    """Tell whether the daemon does its work yet."""
    waiting = list(source.not_ready())
    return Readiness(ready=not waiting, waiting_for=waiting)


async def status(source: StatusSource, disks: Disks, ledger: Ledger) -> Status:
    """Return everything at a glance."""
    counts, (files, size_bytes, oldest), gone = await source.read(
        lambda journal: (journal.counts(), journal.backlog(), journal.removal_counts())
    )
    dropped, log_trouble = source.log_lines()
    roots, pending, why = (
        source.watch.status(),
        [one for one in source.watch.pending() if one.file_class is not FileClass.REFUSED],
        [*_reasons(source), *_questions(gone)],
    )
    return Status(
        sidecar_id=source.sidecar_id,
        version=__version__,
        uptime_seconds=round(source.uptime_seconds(), 3),
        state="draining" if source.draining() else "degraded" if why else "ok",
        reasons=why,
        attention=attention(source, ledger),
        files=total(ledger),
        transfers={state: counts.get(state, 0) for state in State},
        backlog=Backlog(files=files, bytes=size_bytes, oldest_seconds=round(oldest, 3)),
        pending=PendingReport(files=len(pending), examples=[_pending(one) for one in pending[:EXAMPLES_MAX]]),
        uploads=[_upload(upload) for upload in source.uploads()],
        removals=RemovalReport(**{state: _total(gone, state) for state in RemovalState}),
        s3=_remote(source.remotes.get("s3")),
        convex=_remote(source.remotes.get("convex")),
        checksum=_checksum(source.checksum),
        watch=[_root(root, ledger) for root in roots],
        journal=JournalReport(path=str(source.journal_path), bytes=disks.journal_bytes),
        log=LogReport(dropped_lines=dropped, trouble=log_trouble),
    )


async def mirror(source: StatusSource, disks: Disks, ledger: Ledger) -> Mirror:
    """Return the state that the gauges of /metrics show."""
    counts, (files, size_bytes, oldest), gone = await source.read(
        lambda journal: (journal.counts(), journal.backlog(), journal.removal_counts())
    )
    roots, now_ms = source.watch.status(), source.wall_ms()
    scans = {root.root: root.last_scan_ms for root in roots}
    return Mirror(
        version=__version__,
        backlog_files=files,
        backlog_bytes=size_bytes,
        backlog_oldest_seconds=oldest,
        dead_letters=counts.get(State.DEAD, 0),
        removals={state: _total(gone, state) for state in RemovalState},
        breakers={name: BreakerState(remote.state) for name, remote in source.remotes.items()},
        files=ledger,
        unmatched_files={root.root: root.counts.get(FileClass.UNMATCHED, 0) for root in roots},
        troubled_roots={root.root: bool(root.problem or root.trouble or root.away) for root in roots},
        last_scan_age_seconds={
            root: max(0.0, (now_ms - at_ms) / 1000) for root, at_ms in scans.items() if at_ms is not None
        },
        disk_free_bytes=disks.free_bytes,
        clock_skew_seconds=source.clock_skew_seconds(),
        journal_bytes=disks.journal_bytes,
        log_lines_dropped=source.log_lines()[0],
    )


def page(rows: Sequence[Transfer], gone: Mapping[int, Removal], *, limit: int) -> AssetPage:
    """Return one page; ``rows`` holds one more than ``limit`` where there is a next one."""
    shown = rows[:limit]
    more = len(rows) > limit
    assets = [asset(row, gone.get(row.row_id)) for row in shown]
    return AssetPage(assets=assets, next=shown[-1].row_id if more else None)


def removal_page(rows: Sequence[Removal], *, limit: int) -> RemovalPage:
    """Return one page; ``rows`` holds one more than ``limit`` where there is a next one."""
    shown = rows[:limit]
    more = len(rows) > limit
    return RemovalPage(removals=[_missing(row) for row in shown], next=shown[-1].id if more else None)


def asset(row: Transfer, gone: Removal | None) -> Asset:
    """Return a transfer as the endpoint shows it; ``gone`` is its removal, where there is one."""
    slot = row.route.slot
    return Asset(
        id=row.row_id,
        transfer=row.transfer_id,
        path=row.display,
        project_id=row.route.project_id,
        session_id=slot.session_id,
        entity_type=slot.entity_type,
        entity_id=slot.entity_id,
        asset_type=slot.asset_type,
        name=slot.name,
        index=row.route.index,
        state=row.state,
        bucket=row.bucket,
        key=row.key,
        size=row.size_bytes,
        checksum=row.checksum,
        content_type=row.route.content_type,
        version=row.version,
        failures=row.failures,
        discovered_at=iso(row.discovered_ms),
        ready_at=iso_or_none(row.ready_ms),
        uploaded_at=iso_or_none(row.uploaded_ms),
        synced_at=iso_or_none(row.synced_ms),
        removal=gone.state if gone else "removed" if row.is_removed else None,
        error=_fault(row),
    )


def absolute(root: str, path: str) -> str:
    """Return a root's path and one below it as one."""
    return f"{root.rstrip('/')}/{path}" if path else root


def _reasons(source: StatusSource) -> list[str]:
    remotes = [remote.reason for remote in source.remotes.values() if remote.reason]
    roots = [
        (root.problem and source.obstacle(root.root)) or f"{root.root}: {why}"
        for root in source.watch.status()
        if (why := root.problem or root.trouble)
    ]
    return [*remotes, *roots, *source.troubles()]


def _questions(gone: Mapping[tuple[str, RemovalState], int]) -> list[str]:
    asked = [
        f"{count(number, 'file')} of {root} {'is' if number == 1 else 'are'} gone at once, which may be an"
        " accident: Convex and S3 keep all until `sidecar removal confirm` or `dismiss` tells what was meant"
        for (root, state), number in gone.items()
        if state is RemovalState.ASKED
    ]
    refused = _total(gone, RemovalState.REFUSED)
    words = f"Convex refuses {count(refused, 'removal')}: `sidecar removal list` names them"
    return [*asked, words] if refused else asked


def _total(gone: Mapping[tuple[str, RemovalState], int], wanted: RemovalState) -> int:
    return sum(number for (_, state), number in gone.items() if state is wanted)


def _missing(row: Removal) -> MissingFile:
    slot = row.transfer.route.slot
    return MissingFile(
        id=row.id,
        path=absolute(row.root, row.path),
        state=row.state,
        deletes_object=row.deletes_object,
        noticed_at=iso(row.noticed_ms),
        error=row.error,
        transfer=row.transfer.transfer_id,
        session_id=slot.session_id,
        entity_id=slot.entity_id,
        asset_type=slot.asset_type,
        version=row.transfer.version,
    )


def _remote(remote: Remote | None) -> RemoteStatus:
    if remote is None:
        return RemoteStatus(breaker="off", last_error=None)
    if (error := remote.last_error) is None:
        return RemoteStatus(breaker=remote.state, last_error=None)
    shown = LastError(
        kind=error.kind, message=error.message, hint=error.hint, at=iso(error.at_ms), code=error.code
    )
    return RemoteStatus(breaker=remote.state, last_error=shown)


def _checksum(used: Checksum) -> ChecksumReport:
    return ChecksumReport(setting=used.setting, put=used.put, multipart=used.multipart, found=used.is_found)


def _root(root: RootStatus, ledger: Ledger) -> RootReport:
    return RootReport(
        root=root.root,
        readiness=root.readiness,
        events=root.events,
        problem=root.problem,
        trouble=root.trouble,
        lock=root.lock,
        files=dict(ledger[root.root]),
        unmatched=root.counts.get(FileClass.UNMATCHED, 0),
        misplaced=root.counts.get(FileClass.MISPLACED, 0),
        refused=root.counts.get(FileClass.REFUSED, 0),
        held=root.counts.get(FileClass.HELD, 0),
        examples=[
            Unsent(path=absolute(root.root, one.path), finding=Finding(one.finding), why=one.why)
            for one in root.examples
        ],
        last_scan_at=iso_or_none(root.last_scan_ms),
    )


def _pending(one: Candidate) -> Pending:
    return Pending(path=absolute(one.root, one.path), session_id=one.session_id, why=one.why)


def _upload(upload: UploadProgress) -> Upload:
    return Upload(
        transfer=upload.transfer_id, path=upload.path, size=upload.size_bytes, sent=upload.sent_bytes
    )


def _fault(row: Transfer) -> Fault | None:
    if row.error_kind is None:
        return None
    message = row.error_message or ""
    has_own_hint = message.endswith(")")  # its own hint, which knows more than one for the kind
    return Fault(
        kind=row.error_kind, message=message, hint=None if has_own_hint else hint_for(row.error_kind)
    )

"""Takes the snapshots behind /status, /metrics, /healthz and /readyz."""

from __future__ import annotations

from collections.abc import Mapping

from sidecar import __version__
from sidecar.core.account import FileClass
from sidecar.core.breaker import BreakerState
from sidecar.core.findings import Finding
from sidecar.core.model import State
from sidecar.core.paths import absolute
from sidecar.core.removal import RemovalState
from sidecar.metrics import Mirror
from sidecar.upload.checksum_negotiation import ChecksumNegotiation
from sidecar.upload.progress import UploadProgress
from sidecar.watch.complete.schedule import Candidate
from sidecar.watch.stage import RootStatus

from .disks import Disks
from .ledger import Ledger, attention, total
from .models import (
    Backlog,
    ChecksumReport,
    Health,
    JournalReport,
    LastError,
    LogReport,
    Pending,
    PendingReport,
    Readiness,
    RemoteStatus,
    RemovalReport,
    RootReport,
    Status,
    Unsent,
    Upload,
)
from .source import Remote, StatusSource
from .wording import count, iso, iso_or_none, unmade

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
        attention=[*attention(source, ledger), *unmade(source.unknown_entities())],
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


def _remote(remote: Remote | None) -> RemoteStatus:
    if remote is None:
        return RemoteStatus(breaker="off", last_error=None)
    if (error := remote.last_error) is None:
        return RemoteStatus(breaker=remote.state, last_error=None)
    shown = LastError(
        kind=error.kind, message=error.message, hint=error.hint, at=iso(error.at_ms), code=error.code
    )
    return RemoteStatus(breaker=remote.state, last_error=shown)


def _checksum(used: ChecksumNegotiation) -> ChecksumReport:
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

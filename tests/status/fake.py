"""A small source: a journal, a watch and remotes in memory, as daemon.py would offer them."""

# ruff: noqa: D102 - sidecar.status.source says what each of these is; ``real`` makes it what it stands for

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar, cast

from sidecar.core.account import (
    NAMED_MAX,
    ClassRow,
    FileClass,
    FileScope,
    Shown,
    Unmatched,
    is_within,
    row_of,
)
from sidecar.core.breaker import BreakerState
from sidecar.core.checksum_algorithms import Confirmed, StoreSupport
from sidecar.core.findings import Finding
from sidecar.core.inconsistencies import InconsistencyType, Repair
from sidecar.core.model import AssetType, EntityType, Route, Slot, State, StatIdentity, Transfer
from sidecar.core.paths import below
from sidecar.core.reconcile_report import Inconsistency, ReconcileReport
from sidecar.core.removal import Removal, RemovalState
from sidecar.core.upload_order import Rank
from sidecar.gate import LastError
from sidecar.journal.read.reader import JournalReader, Standing
from sidecar.upload.checksum_negotiation import ChecksumNegotiation
from sidecar.upload.progress import UploadProgress
from sidecar.watch.complete.schedule import Candidate
from sidecar.watch.root import AwayKind, RootAway
from sidecar.watch.scan.census import Example
from sidecar.watch.scan.path_lookup import PathFinding
from sidecar.watch.stage import RootStatus
from sidecar.watch.unsent import Unsent

T = TypeVar("T")
ROOT = "/renders"
NOW_MS = 1_760_000_000_000
DONE = (State.SYNCED, State.SUPERSEDED, State.GONE)


def transfer(row: int, path: str, state: State, **changes: object) -> Transfer:
    """Return a transfer of 1 MiB in session ``p/s``."""
    slot = Slot(
        session_id="p/s",
        entity_type=EntityType.SCENE,
        entity_id="intro",
        asset_type=AssetType.VIDEO_CHUNK,
        name=path.rsplit("/", 1)[-1],
    )
    route = Route(
        slot=slot,
        project_id="p",
        key="k",
        index=row,
        role=None,
        content_type="video/mp4",
        cache_control=None,
        priority=0,
        settle_seconds=None,
        check_structure=True,
        entity_folder="p/s/intro",
    )
    whole = Transfer(
        row_id=row,
        transfer_id=f"01TRANSFER{row:016}",
        root=ROOT,
        path=path,
        route=route,
        state=state,
        bucket="lessons",
        key=f"p/s/intro/video_chunk/{path}",
        identity=StatIdentity(inode=1, size_bytes=1024**2, mtime_ns=1, ctime_ns=1),
        checksum="crc64nvme:AAAAAAAAAAA=",
        upload_id=None,
        part_bytes=None,
        may_upload=False,
        may_object=False,
        etag=None,
        version_id=None,
        version=3 if state is State.SYNCED else None,
        failures=0,
        discovered_ms=NOW_MS,
        ready_ms=NOW_MS,
        uploaded_ms=None,
        synced_ms=None,
        error_kind=None,
        error_message=None,
    )
    return replace(whole, **changes)  # type: ignore[arg-type]  # a builder's keywords are the fields


def removal(row: Transfer, state: RemovalState, error: str | None = None) -> Removal:
    """Return the removal of a transfer's file."""
    return Removal(
        id=row.row_id,
        root=row.root,
        path=row.path,
        state=state,
        deletes_object=True,
        noticed_ms=NOW_MS,
        error=error,
        transfer=row,
    )


@dataclass
class FakeJournal:
    """The journal's read side over lists."""

    rows: list[Transfer] = field(default_factory=list)
    gone: list[Removal] = field(default_factory=list)
    events: dict[int, list[tuple[int, str, str | None]]] = field(default_factory=dict)

    def counts(self) -> Mapping[State, int]:
        return Counter(row.state for row in self.rows)

    def backlog(self) -> tuple[int, int, float]:
        owed = [row for row in self.rows if row.state in (State.READY, State.UPLOADED)]
        return len(owed), sum(row.size_bytes for row in owed), 1.5 if owed else 0.0

    def assets(
        self, *, session_id: str | None, entity_id: str | None, state: State | None, limit: int, after: int
    ) -> Sequence[Transfer]:
        return [
            row
            for row in self.rows
            if row.row_id > after
            and session_id in (None, row.route.slot.session_id)
            and entity_id in (None, row.route.slot.entity_id)
            and state in (None, row.state)
        ][:limit]

    def dead_letters(self, *, limit: int, after: int) -> Sequence[Transfer]:
        return [row for row in self.rows if row.state is State.DEAD and row.row_id > after][:limit]

    def transfers_of(self, root: str, path: str) -> Sequence[Transfer]:
        path.encode()  # as SQLite does: names that are not UTF-8 must not get here
        return [row for row in reversed(self.rows) if (row.root, row.path) == (root, path)]

    def events_of(self, row: int) -> Sequence[tuple[int, str, str | None]]:
        return self.events.get(row, [])

    def removal_counts(self) -> Mapping[tuple[str, RemovalState], int]:
        return Counter((one.root, one.state) for one in self.gone)

    def removals(self, *, limit: int, after: int) -> Sequence[Removal]:
        return [one for one in self.gone if one.id > after][:limit]

    def removals_of(self, rows: Sequence[int]) -> Mapping[int, Removal]:
        return {one.transfer.row_id: one for one in self.gone if one.transfer.row_id in rows}

    def unfinished(
        self, *, session_id: str | None = None, root: str | None = None, prefix: str = ""
    ) -> Mapping[tuple[str, State], int]:
        return Counter(
            (row.root, row.state)
            for row in self.unfinished_transfers(session_id=session_id, root=root, prefix=prefix, limit=99)
        )

    def standing(self) -> Mapping[str, Standing]:
        newest = {(row.root, row.path): row.state for row in self.rows}
        found = {root: Standing(present=0) for root, _ in newest}
        for root in found:
            states = [state for (where, _), state in newest.items() if where == root]
            unfinished = Counter(state for state in states if state not in DONE)
            there = sum(state not in (State.SUPERSEDED, State.GONE) for state in states)
            found[root] = Standing(
                present=there, unfinished=dict(unfinished), unfinished_present=dict(unfinished)
            )
        return found

    def delivered(
        self, *, synced: bool = True, session_id: str | None = None, root: str | None = None, prefix: str = ""
    ) -> tuple[int, int]:
        states = (State.SYNCED,) if synced else (State.SYNCED, State.UPLOADED)
        rows = [row for row in self._within(session_id, root, prefix) if row.state in states]
        return len(rows), sum(row.size_bytes for row in rows)

    def has_seen(self, *, session_id: str | None = None, root: str | None = None, prefix: str = "") -> bool:
        return bool(self._within(session_id, root, prefix))

    def sessions(self, *, limit: int) -> Sequence[str]:
        return sorted({row.route.slot.session_id for row in self.rows})[:limit]

    def _within(self, session_id: str | None, root: str | None, prefix: str) -> list[Transfer]:
        return [
            row
            for row in self.rows
            if session_id in (None, row.route.slot.session_id)
            and root in (None, row.root)
            and is_within(row.path, prefix)
        ]

    def unfinished_transfers(
        self, *, session_id: str | None = None, root: str | None = None, prefix: str = "", limit: int
    ) -> Sequence[Transfer]:
        prefix.encode()
        return [row for row in self._within(session_id, root, prefix) if row.state not in DONE][:limit]


@dataclass
class FakeFinding:
    """What the watch makes of a path."""

    finding: str
    why: str
    rule: str | None = None
    as_it_was: bool = False

    def real(self) -> PathFinding:
        return PathFinding(
            finding=Finding(self.finding),
            why=self.why,
            rule=self.rule,
            file_class=FileClass(self.finding) if self.finding in list(FileClass) else None,
            as_it_was=self.as_it_was,
        )


@dataclass
class FakeExample:
    """A path that is not sent."""

    path: str
    finding: str
    why: str

    def real(self) -> Example:
        return Example(path=self.path, finding=Finding(self.finding), why=self.why)


@dataclass
class FakeCandidate:
    """A file that is not complete."""

    path: str
    why: str
    root: str = ROOT
    session_id: str = "p/s"
    file_class: FileClass = FileClass.SETTLING

    def real(self) -> Candidate:
        candidate = Candidate(
            row_id=1,
            root=self.root,
            path=self.path,
            session_id=self.session_id,
            rule_settle_seconds=None,
            check_structure=True,
            identity=None,
            quiet_since=0.0,
            due=0.0,
            awaits_lookup=False,
            why=self.why,
            refused=self.file_class is FileClass.REFUSED,
            is_torn=self.file_class is FileClass.INCOMPLETE,
        )
        assert candidate.file_class is self.file_class
        return candidate


@dataclass
class FakeAway:
    """Why nothing can be told of a root."""

    kind: AwayKind
    why: str

    def real(self) -> RootAway:
        return RootAway(kind=self.kind, why=self.why)


@dataclass
class FakeRoot:
    """A watched root."""

    root: str = ROOT
    readiness: str = "lease"
    events: str = "inotify"
    problem: str | None = None
    trouble: str | None = None
    lock: str | None = "by flock"
    away: FakeAway | None = None
    known: int = 0
    examples: list[FakeExample] = field(default_factory=list)
    unnamed: Mapping[FileClass, int] = field(default_factory=dict)  # more than the examples
    last_scan_ms: int | None = NOW_MS - 2000
    unmatched: Unmatched = "misplaced"

    def real(self) -> RootStatus:
        return RootStatus(
            root=self.root,
            readiness=self.readiness,
            events=self.events,
            problem=self.problem,
            trouble=self.trouble,
            lock=self.lock,
            away=None if self.away is None else self.away.real(),
            counts=Counter(FileClass(one.finding) for one in self.examples) + Counter(self.unnamed),
            known=self.known,
            examples=[one.real() for one in self.examples],
            last_scan_ms=self.last_scan_ms,
        )


@dataclass
class FakeWatch:
    """The watch stage; ``on_scan`` is what a scan finds."""

    watched: list[FakeRoot] = field(default_factory=lambda: [FakeRoot()])
    findings: dict[str, FakeFinding] = field(default_factory=dict)
    candidates: list[FakeCandidate] = field(default_factory=list)
    on_scan: Callable[[], None] = lambda: None
    is_new: bool = True  # what is unsent changed since the process started
    scans: int = 0
    looks: int = 0  # at all that /status shows

    def roots(self) -> Sequence[str]:
        return [one.root for one in self.watched]

    def away(self) -> Mapping[str, RootAway]:
        return {one.root: one.away.real() for one in self.watched if one.away is not None}

    def status(self) -> Sequence[RootStatus]:
        self.looks += 1
        return [one.real() for one in self.watched]

    def pending(self) -> Sequence[Candidate]:
        return [one.real() for one in self.candidates]

    def unsent(self, scope: FileScope) -> Unsent:
        found = [
            (root.root, one.real())
            for root in self.watched
            for one in root.examples
            if self.row(root.root, FileClass(one.finding)).status is Shown.ATTENTION
            and scope.covers(root.root, one.path)
            and (scope.session_id is None or is_within(one.path, scope.session_id))
        ]
        counts = Counter(FileClass(one.finding) for _, one in found)
        new = found if self.is_new else []
        new_counts = Counter(FileClass(one.finding) for _, one in new)
        return Unsent(counts=counts, new=new_counts, examples=found[:NAMED_MAX], new_examples=new[:NAMED_MAX])

    def row(self, root: str, file_class: FileClass) -> ClassRow:
        return row_of(file_class, next(one.unmatched for one in self.watched if one.root == root))

    async def locate(self, path: str) -> tuple[str, str] | None:
        return below(path, self.roots())

    async def explain(self, root: str, path: str) -> PathFinding:
        assert root in self.roots()
        return (self.findings.get(path) or FakeFinding("missing", "nothing is there")).real()

    async def scan_now(self) -> None:
        await asyncio.sleep(0)
        self.scans += 1
        self.on_scan()


@dataclass
class FakeRemote:
    """A remote's door."""

    state: BreakerState = BreakerState.CLOSED
    reason: str | None = None
    last_error: LastError | None = None


@dataclass
class FakeUpload:
    """An upload under way."""

    transfer_id: str
    path: str
    size_bytes: int
    sent_bytes: int

    def real(self) -> UploadProgress:
        return UploadProgress(
            transfer_id=self.transfer_id,
            path=self.path,
            size_bytes=self.size_bytes,
            sent_bytes=self.sent_bytes,
            rank=Rank(priority=0, is_large=False, is_fresh=True, number=0),
        )


def negotiated() -> ChecksumNegotiation:
    """Return what is known once the store has confirmed the best."""
    found = Confirmed(is_found=True)
    return ChecksumNegotiation(strictly=None, known=StoreSupport(put=found, multipart=found))


def report() -> ReconcileReport:
    """Return two orphans, one of them shown."""
    orphan = InconsistencyType.ORPHAN_OBJECT
    example = Inconsistency(type=orphan, key="demo/x.mp4", repair=Repair.DELETE)
    return ReconcileReport(compared=7, found=Counter({orphan: 2}), examples=[example])


@dataclass
class FakeSource:
    """Everything together."""

    journal_path: Path
    sidecar_id: str = "sidecar-1"
    journal: FakeJournal = field(default_factory=FakeJournal)
    watch: FakeWatch = field(default_factory=FakeWatch)
    remotes: dict[str, FakeRemote] = field(
        default_factory=lambda: {"s3": FakeRemote(), "convex": FakeRemote()}
    )
    checksum: ChecksumNegotiation = field(default_factory=negotiated)
    heartbeat_limit_seconds: float = 30.0
    beats: dict[str, float] = field(default_factory=lambda: {"loop": 0.1, "journal": 0.2})
    is_draining: bool = False
    dropped_lines: int = 0
    log_trouble: str | None = None
    waiting_for: list[str] = field(default_factory=list)
    other_troubles: list[str] = field(default_factory=list)
    obstacles: dict[str, str] = field(default_factory=dict)
    unmade: dict[tuple[str, str | None], str] = field(default_factory=dict)
    in_flight: list[FakeUpload] = field(default_factory=list)
    reconciles: list[bool] = field(default_factory=list)
    requeues: list[tuple[str | None, str | None, str | None]] = field(default_factory=list)
    decisions: list[tuple[bool, str | None, str]] = field(default_factory=list)

    def uptime_seconds(self) -> float:
        return 12.5

    def wall_ms(self) -> int:
        return NOW_MS

    def draining(self) -> bool:
        return self.is_draining

    def not_ready(self) -> Sequence[str]:
        return self.waiting_for

    def troubles(self) -> Sequence[str]:
        return self.other_troubles

    def log_lines(self) -> tuple[int, str | None]:
        return self.dropped_lines, self.log_trouble

    def waits_for(self, session_id: str, scene_id: str | None) -> str | None:
        return self.unmade.get((session_id, scene_id))

    def unknown_entities(self) -> Sequence[str]:
        return list(self.unmade.values())

    def obstacle(self, path: str) -> str | None:
        return self.obstacles.get(path)

    def heartbeats(self) -> Mapping[str, float]:
        return self.beats

    def clock_skew_seconds(self) -> Mapping[str, float]:
        return {"s3": 0.25}

    def uploads(self) -> Sequence[UploadProgress]:
        return [one.real() for one in self.in_flight]

    async def read(self, question: Callable[[JournalReader], T]) -> T:
        return await asyncio.to_thread(question, cast("JournalReader", self.journal))

    async def requeue(self, *, transfer_id: str | None, path: str | None, error_kind: str | None) -> int:
        self.requeues.append((transfer_id, path, error_kind))
        return 1

    async def decide_removals(self, *, confirm: bool, root: str | None, path: str) -> int:
        self.decisions.append((confirm, root, path))
        return 2

    async def reconcile(self, *, apply: bool) -> ReconcileReport:
        self.reconciles.append(apply)
        return report()

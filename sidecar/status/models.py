r"""What the endpoint says, as pydantic models; /openapi.json is generated from them.

Sizes are bytes, ages seconds, times UTC in ISO 8601. Text is always valid UTF-8: bytes of a file name
that are not appear as ``\xff``.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from sidecar.core.account import FileClass
from sidecar.core.breaker import BreakerState
from sidecar.core.errors import ErrorKind
from sidecar.core.findings import Finding
from sidecar.core.model import AssetType, EntityType, State
from sidecar.core.removal import RemovalState
from sidecar.core.text import utf8

Text = Annotated[str, BeforeValidator(lambda value: utf8(value) if isinstance(value, str) else value)]
Instant = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
Count = Annotated[int, Field(ge=0)]


class Model(BaseModel):
    """What all of them share."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Problem(Model):
    """Why a request was not answered."""

    error: Text = Field(description="One sentence.")
    hint: Text | None = Field(description="What would help.")


class Health(Model):
    """Whether a restart would help."""

    status: Literal["ok", "wedged"]
    heartbeats: dict[str, float] = Field(description="Seconds since each part's last beat.")
    limit_seconds: float = Field(description="An older beat is a wedge.")


class Readiness(Model):
    """Whether the journal is open and the first scan done."""

    ready: bool
    waiting_for: list[Text]


class Backlog(Model):
    """What is complete and still owed."""

    files: Count
    bytes: Count
    oldest_seconds: float


class LastError(Model):
    """A remote's newest failure; it may be over."""

    kind: ErrorKind
    message: Text
    hint: Text | None
    at: Instant
    code: Text | None = Field(description="The remote's own; its newest, since HEAD is answered without one.")


class RemoteStatus(Model):
    """S3 or Convex."""

    breaker: BreakerState | Literal["off"] = Field(description="off: with convex.sync: off.")
    last_error: LastError | None


class ChecksumReport(Model):
    """How bytes are checked on their way to S3."""

    setting: str = Field(description="s3.checksum.")
    put: str = Field(description="What the next whole object is sent under.")
    multipart: str = Field(description="What the next upload in parts is begun under.")
    found: bool = Field(description="With auto: the store confirmed it; false: it is still to be found out.")


class Unsent(Model):
    """A path that is not sent, and why."""

    path: Text = Field(description="Absolute.")
    finding: Finding
    why: Text


class RootReport(Model):
    """A watched root."""

    root: Text
    readiness: str = Field(description="lease: an open file is known exactly; settle: by quiet time.")
    events: str = Field(description="inotify or scan.")
    problem: Text | None = Field(description="Why it is not watched now.")
    lock: Text | None = Field(description="How other sidecars are kept out; null while it is not ours.")
    trouble: Text | None = Field(description="Why it is watched less well than it was meant to be.")
    files: dict[FileClass, Count] = Field(description="Every file below the root, by class.")
    unmatched: Count
    misplaced: Count = Field(description="Not among the unmatched.")
    refused: Count
    held: Count
    examples: list[Unsent] = Field(description="Some of the misplaced, unmatched, refused and held.")
    last_scan_at: Instant | None


class Pending(Model):
    """A file that is seen and not complete yet."""

    path: Text
    session_id: Text
    why: Text


class PendingReport(Model):
    """Files that are open, settling or incomplete."""

    files: Count
    examples: list[Pending]


class RemovalReport(Model):
    """Files that are gone while Convex still shows their assets."""

    asked: Count = Field(description="Too many at once: `sidecar removal` decides.")
    owed: Count = Field(description="Convex is being told.")
    refused: Count = Field(description="Convex keeps the asset.")


class Upload(Model):
    """An upload under way."""

    transfer: str
    path: Text
    size: Count
    sent: Count


class JournalReport(Model):
    """The journal's file."""

    path: Text
    bytes: Count


class LogReport(Model):
    """The log on standard output. It stops no delivery."""

    dropped_lines: Count
    trouble: Text | None = Field(description="Why lines cannot be written now.")


class Status(Model):
    """Everything at a glance."""

    sidecar_id: Text
    version: str
    uptime_seconds: float
    state: Literal["ok", "degraded", "draining"]
    reasons: list[Text] = Field(description="Why it is degraded: what stops delivery, as plain sentences.")
    attention: list[Text] = Field(
        description="Files that will not be delivered without help; delivery goes on."
    )
    files: dict[FileClass, Count] = Field(description="Every file of all roots, by class.")
    transfers: dict[State, Count]
    backlog: Backlog
    pending: PendingReport
    uploads: list[Upload]
    removals: RemovalReport
    s3: RemoteStatus
    convex: RemoteStatus
    checksum: ChecksumReport
    watch: list[RootReport]
    journal: JournalReport
    log: LogReport


class Fault(Model):
    """Why a transfer failed last."""

    kind: Text
    message: Text
    hint: Text | None


class Asset(Model):
    """A transfer: one version of one file on its way."""

    id: int = Field(description="The journal's row; pages go by it.")
    transfer: str
    path: Text = Field(description="Absolute.")
    project_id: Text
    session_id: Text
    entity_type: EntityType
    entity_id: Text
    asset_type: AssetType
    name: Text
    index: int | None
    state: State
    bucket: Text
    key: Text
    size: Count
    checksum: str | None
    content_type: str
    version: int | None = Field(description="Convex's version of the slot.")
    failures: Count = Field(description="Attempts spent.")
    discovered_at: Instant
    ready_at: Instant | None
    uploaded_at: Instant | None
    synced_at: Instant | None
    removal: RemovalState | Literal["removed"] | None = Field(description="What its file's absence led to.")
    error: Fault | None


class AssetPage(Model):
    """A page of transfers in the order of their discovery."""

    assets: list[Asset]
    next: int | None = Field(description="Pass it as `after`; null on the last page.")


class HistoryEvent(Model):
    """Something that happened to a transfer."""

    at: Instant
    event: str
    detail: Text | None


class Explanation(Model):
    """Everything about one path."""

    path: Text = Field(description="Absolute, as it was understood.")
    root: Text | None
    verdict: Text = Field(description="One sentence.")
    file_class: FileClass | None = Field(
        serialization_alias="class", description="What became of it; null: no file is there."
    )
    finding: Finding | None = Field(description="What is there now.")
    state: State | None = Field(description="Of the newest transfer.")
    steps: list[Text] = Field(description="How the verdict came about, in order.")
    asset: Asset | None = Field(description="The newest transfer.")
    history: list[HistoryEvent]
    older: list[Asset] = Field(description="Earlier transfers, newest first.")


class Owed(Model):
    """A file, or a root, that is not delivered."""

    path: Text
    file_class: FileClass | None = Field(
        serialization_alias="class", description="null: no file, but a root or what is unseen."
    )
    state: str = Field(description="A transfer's state, what the watch finds, or why a root is away.")
    why: Text


class Delivered(Model):
    """What is in S3 and known to Convex."""

    files: Count
    bytes: Count


class WaitReply(Model):
    """What became of everything that was asked for."""

    result: Literal["synced", "failed", "timeout"]
    verdict: Text
    waited_seconds: float
    failed: list[Owed] = Field(description="What will not be delivered without help, at most 20 of it.")
    failed_files: Count = Field(description="How much that is.")
    owed: list[Owed] = Field(description="What still may be, when the time was over, at most 20 of it.")
    owed_files: Count = Field(description="How much that is.")
    unfinished: dict[State, Count]
    delivered: Delivered = Field(description="Of what was asked for, also files that are gone since.")
    summary: str = Field(description="The same as one line.")


class RequeueRequest(Model):
    """Which dead letters: those that match all given filters; without a filter say `all`."""

    transfer: str | None = None
    path: str | None = Field(default=None, description="Absolute, or below a root.")
    error_kind: ErrorKind | None = None
    all: bool = False


class MissingFile(Model):
    """A file that is gone, and the asset that Convex still shows of it."""

    id: int = Field(description="Pages go by it.")
    path: Text = Field(description="Absolute.")
    state: RemovalState
    deletes_object: bool = Field(description="Whether its object goes, too.")
    noticed_at: Instant
    error: Text | None = Field(description="Why Convex refused.")
    transfer: str
    session_id: Text
    entity_id: Text
    asset_type: AssetType
    version: int | None


class RemovalPage(Model):
    """A page of files that are gone, in the order in which that was noticed."""

    removals: list[MissingFile]
    next: int | None = Field(description="Pass it as `after`; null on the last page.")


class RemovalRequest(Model):
    """Which files, of those that were asked about or refused."""

    path: str | None = Field(default=None, description="A file or folder: absolute, or below a root.")
    all: bool = False


class RemovalReply(Model):
    """How many removals were decided."""

    decided: Count


class ReconcileRequest(Model):
    """Whether to repair what is found."""

    apply: bool = Field(default=False, description="false: only report.")


class Inconsistency(Model):
    """A disagreement about one object key."""

    type: str
    key: Text
    repair: str = Field(description="What repairs it; none: only people can.")


class ReconcileReply(Model):
    """What a comparison of journal, bucket and Convex found."""

    applied: bool
    compared: Count = Field(description="Object keys.")
    found: dict[str, Count] = Field(description="Inconsistencies by type.")
    repaired: dict[str, Count] = Field(description="Those whose repair was journaled.")
    examples: list[Inconsistency]
    notes: list[Text]


class RequeueReply(Model):
    """How many dead letters went back to work."""

    requeued: Count


class RescanReply(Model):
    """A full scan was done."""

    seconds: float

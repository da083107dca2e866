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
from sidecar.core.model import State
from sidecar.core.text import utf8

Text = Annotated[str, BeforeValidator(lambda value: utf8(value) if isinstance(value, str) else value)]
Instant = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
Count = Annotated[int, Field(ge=0)]


class Model(BaseModel):
    """What all of them share."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)  # few are ever asked for


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

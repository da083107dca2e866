"""Settings of the daemon itself: journal, retries, shutdown, clean-up, endpoint, logs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, PlainSerializer

from sidecar.core.address import parse_address
from sidecar.core.units import format_size, parse_size

from .secret import Secret
from .types import PositiveSeconds, Seconds, Section, Size, or_auto

DAY = 86_400.0


def _address(text: str) -> str:
    parse_address(text)
    return text


def _size_text(value: int | str) -> str:
    return value if isinstance(value, str) else format_size(value)


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100 - Path.absolute() would keep ".."


_SIZE_TEXT = PlainSerializer(_size_text, return_type=str, when_used="json")
AbsolutePath = Annotated[Path, AfterValidator(_absolute)]
Address = Annotated[str, AfterValidator(_address)]
Positive = Annotated[int, Field(ge=1, le=1_000_000)]


class JournalSettings(Section):
    """The SQLite file that remembers what is owed."""

    path: AbsolutePath = Path("/var/lib/sidecar/journal.db")
    """On a local disk that outlives the container; refused on NFS. The folder must be writable."""
    keep: PositiveSeconds = 30 * DAY
    """How long rows stay whose file is gone or superseded."""


class RetrySettings(Section):
    """When to try again, and when to leave a remote alone."""

    initial: PositiveSeconds = 1.0
    """The first wait; each later one is twice as long, with full jitter."""
    max: PositiveSeconds = 60.0
    """The longest wait."""
    attempts: Annotated[int, Field(ge=1, le=1000)] = 3
    """Attempts before a file becomes a dead letter; an outage spends none."""
    breaker_failures: Annotated[int, Field(ge=1, le=1000)] = 5
    """Failures in a row after which a remote is left alone."""
    breaker_reset: PositiveSeconds = 30.0
    """How long it is left alone before a probe."""


class ShutdownSettings(Section):
    """What SIGTERM may take."""

    grace: Seconds = 25.0
    """Time to ship what is owed; keep it below the container's own grace period."""


class LocalFiles(Section):
    """What becomes of the renderer's files."""

    after_sync: Literal["keep", "delete"] = "keep"
    """keep: the sidecar never deletes a file."""
    delete_after: PositiveSeconds = DAY
    """With delete: how long a synced file stays."""
    min_free: Annotated[int | Literal["auto"], *or_auto(parse_size), _SIZE_TEXT] = "auto"
    """Free disk space below which the state is degraded; auto: the lesser of 5 % of the disk and 1GiB."""
    max_pending: Size | None = None
    """Bytes of waiting files above which the state is degraded."""


class ReconcileSettings(Section):
    """Comparing journal, bucket and Convex."""

    every: PositiveSeconds = 6 * 3600.0
    """How often; objects that retention gives up go at the same time."""
    apply: bool = False
    """false: only report what would be repaired."""


class Superseded(Section):
    """Old versions of assets."""

    keep: Positive = 10
    """This many of the newest old versions always stay."""
    for_: Annotated[PositiveSeconds, Field(alias="for")] = 30 * DAY
    """Older ones stay this long."""


class Retention(Section):
    """How long history stays."""

    superseded: Superseded = Field(default_factory=Superseded)
    """Old versions of assets."""
    events: PositiveSeconds = 7 * DAY
    """The journal's events."""


class StatusSettings(Section):
    """The local endpoint."""

    listen: Address = "127.0.0.1:9745"
    """Address of the read-only endpoint; anything but loopback needs token_file. Port 0: any free one."""
    socket: Path | None = None
    """Unix socket (mode 0600) whose users may also requeue and rescan."""
    public_listen: Address | None = None
    """Address that serves only /healthz, /readyz and /metrics, for kubelet and Prometheus."""
    token_file: Path | None = None
    """File with the bearer token that opens everything; read again when it changes."""

    @property
    def token(self) -> Secret | None:
        """The bearer token, where there is one."""
        return Secret(path=self.token_file) if self.token_file else None


class LoggingSettings(Section):
    """What is written to standard output."""

    format: Literal["json", "console"] = "json"
    """json: one object a line; console: for people."""
    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least level that is written."""

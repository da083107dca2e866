"""Says whom the endpoint asks, as protocols that the daemon satisfies; the answers are the parts' own values.

Everything synchronous here returns at once from memory; ``read`` runs a question to the journal off
the event loop, and whatever touches a file system is a coroutine that does so off the loop.
"""

# ruff: noqa: D102 - what the fields of a protocol mean stands in its own docstring or beside them

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from sidecar.core.account import ClassRow, FileClass, FileScope
from sidecar.core.breaker import BreakerState
from sidecar.core.reconcile_report import ReconcileReport
from sidecar.gate import LastError
from sidecar.journal.read.reader import JournalReader
from sidecar.upload.checksum_negotiation import ChecksumNegotiation
from sidecar.upload.progress import UploadProgress
from sidecar.watch.complete.schedule import Candidate
from sidecar.watch.root import RootAway
from sidecar.watch.scan.path_lookup import PathFinding
from sidecar.watch.stage import RootStatus
from sidecar.watch.unsent import Unsent

T = TypeVar("T")


class WatchView(Protocol):
    """The watch stage, as the endpoint sees it."""

    def roots(self) -> Sequence[str]:
        """Return the configured roots, in the order of the settings."""
        ...

    def away(self) -> Mapping[str, RootAway]:
        """Return the roots of which nothing can be told now, and why, in the order of the settings."""
        ...

    def status(self) -> Sequence[RootStatus]:
        """One entry per configured root, in the order of the settings, with examples of what is not sent."""
        ...

    def pending(self) -> Sequence[Candidate]:
        """All candidates."""
        ...

    def unsent(self, scope: FileScope) -> Unsent:
        """Return what counts as unsent within a scope, exactly; as old as the last listing."""
        ...

    def row(self, root: str, file_class: FileClass) -> ClassRow:
        """Return the account's row that counts for a class in a root."""
        ...

    async def locate(self, path: str) -> tuple[str, str] | None:
        """Return (root, path below it) of an absolute path, through links and mounts; None if outside."""
        ...

    async def explain(self, root: str, path: str) -> PathFinding:
        """Look at ``path`` below ``root`` now. Surrogates stand for bytes that are not UTF-8."""
        ...

    async def scan_now(self) -> None:
        """Return when a full scan of all roots that began after this call is in the journal."""
        ...


class Remote(Protocol):
    """A remote's door; ``sidecar.gate.RemoteGate`` is one. ``reason`` is a sentence while in trouble."""

    @property
    def state(self) -> BreakerState: ...
    @property
    def reason(self) -> str | None: ...
    @property
    def last_error(self) -> LastError | None: ...


class CannotError(Exception):
    """What was asked for cannot be done now; the message is one sentence."""


class StatusSource(Protocol):
    """All that the endpoint asks, together; only the daemon builds it."""

    @property
    def sidecar_id(self) -> str: ...
    @property
    def journal_path(self) -> Path: ...
    @property
    def watch(self) -> WatchView: ...
    @property
    def remotes(self) -> Mapping[str, Remote]: ...  # "s3", and "convex" unless convex.sync is off
    @property
    def checksum(self) -> ChecksumNegotiation: ...
    @property
    def heartbeat_limit_seconds(self) -> float: ...

    def uptime_seconds(self) -> float:
        """Since the process began."""
        ...

    def wall_ms(self) -> int:
        """Now."""
        ...

    def draining(self) -> bool:
        """Tell whether SIGTERM was received."""
        ...

    def not_ready(self) -> Sequence[str]:
        """Why the daemon is not ready yet, as sentences: journal not open, first scan not done."""
        ...

    def troubles(self) -> Sequence[str]:
        """Whatever else degrades the daemon, as sentences: not registered, a refused reload ..."""
        ...

    def log_lines(self) -> tuple[int, str | None]:
        """How many log lines were dropped since the start; why none can be written now, None if they can."""
        ...

    def waits_for(self, session_id: str, scene_id: str | None) -> str | None:
        """Return which session or scene is to be made before Convex is told of it, as a sentence."""
        ...

    def unknown_entities(self) -> Sequence[str]:
        """Return what is waited for in the same way, as sentences."""
        ...

    def obstacle(self, path: str) -> str | None:
        """Return what keeps an absolute path from being read now, as a sentence."""
        ...

    def heartbeats(self) -> Mapping[str, float]:
        """Age in seconds of the newest beat of each thing that must not stand still."""
        ...

    def clock_skew_seconds(self) -> Mapping[str, float]:
        """Our clock minus each remote's, where known."""
        ...

    def uploads(self) -> Sequence[UploadProgress]:
        """Return the uploads under way."""
        ...

    async def read(self, question: Callable[[JournalReader], T]) -> T:
        """Ask the journal off the event loop."""
        ...

    async def requeue(self, *, transfer_id: str | None, path: str | None, error_kind: str | None) -> int:
        """Send dead letters that match all given filters back to work; returns how many."""
        ...

    async def decide_removals(self, *, confirm: bool, root: str | None, path: str) -> int:
        """Remove, or keep, what was asked about or refused at and below a path; returns how many."""
        ...

    async def reconcile(self, *, apply: bool) -> ReconcileReport:
        """Compare journal, bucket and Convex; with ``apply`` journal the repairs. Raises CannotError."""
        ...


def is_syncing(source: StatusSource) -> bool:
    """Tell whether Convex is told; with ``convex.sync: off`` the upload is the end."""
    return "convex" in source.remotes

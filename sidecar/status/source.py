"""Says what the endpoint needs to know, as protocols that the daemon satisfies with the real parts.

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
from sidecar.core.errors import ErrorKind
from sidecar.core.model import State, Transfer
from sidecar.core.removal import Removal, RemovalState

T = TypeVar("T")


class Example(Protocol):
    """A path that is not sent, and one sentence why. ``path`` is below the root."""

    @property
    def path(self) -> str: ...
    @property
    def finding(self) -> str: ...  # a value of Finding
    @property
    def why(self) -> str: ...


class RootAway(Protocol):
    """Why nobody can tell what lies in a root: ``kind`` is missing, unreadable or not ours."""

    @property
    def kind(self) -> str: ...
    @property
    def why(self) -> str: ...


class RootStatus(Protocol):
    """One watched root.

    ``problem`` is a sentence while it is not watched (missing, locked by another), ``trouble`` while it is
    watched less well than it was meant to be. ``lock`` says how others are kept out, None: it is not ours.
    """

    @property
    def root(self) -> str: ...
    @property
    def readiness(self) -> str: ...  # "lease" | "settle"
    @property
    def events(self) -> str: ...  # "inotify" | "scan"
    @property
    def problem(self) -> str | None: ...
    @property
    def trouble(self) -> str | None: ...
    @property
    def lock(self) -> str | None: ...
    @property
    def away(self) -> RootAway | None: ...
    @property
    def counts(self) -> Mapping[FileClass, int]: ...  # of files that are not journaled
    @property
    def known(self) -> int: ...  # files among them of which the journal has an earlier version
    @property
    def examples(self) -> Sequence[Example]: ...  # newest first, bounded
    @property
    def last_scan_ms(self) -> int | None: ...  # wall time of the end of the last full scan


class Candidate(Protocol):
    """A file that is seen and not complete; ``why`` is one sentence (open for writing, settling ...).

    Its class is settling, incomplete, or refused where it cannot be read.
    """

    @property
    def root(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def session_id(self) -> str: ...
    @property
    def why(self) -> str: ...
    @property
    def file_class(self) -> FileClass: ...


class PathFinding(Protocol):
    """The watch stage's answer about one path; ``why`` is one sentence, ``rule`` the rule that matched.

    ``file_class`` is None where the journal knows more; ``as_it_was``: as when the journal handled it.
    """

    @property
    def finding(self) -> str: ...  # a value of Finding
    @property
    def why(self) -> str: ...
    @property
    def rule(self) -> str | None: ...
    @property
    def file_class(self) -> FileClass | None: ...
    @property
    def as_it_was(self) -> bool: ...


class Unsent(Protocol):
    """What counts as unsent and is not journaled: numbers, those that are new, some examples of each."""

    @property
    def counts(self) -> Mapping[FileClass, int]: ...
    @property
    def new(self) -> Mapping[FileClass, int]: ...
    @property
    def examples(self) -> Sequence[tuple[str, Example]]: ...
    @property
    def new_examples(self) -> Sequence[tuple[str, Example]]: ...


class WatchView(Protocol):
    """The watch stage, as the endpoint sees it."""

    def status(self) -> Sequence[RootStatus]:
        """One entry per configured root, in the order of the settings."""
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


class UploadProgress(Protocol):
    """An upload under way. ``sent_bytes`` counts what S3 confirmed or was journaled before."""

    @property
    def transfer_id(self) -> str: ...
    @property
    def path(self) -> str: ...  # absolute
    @property
    def size_bytes(self) -> int: ...
    @property
    def sent_bytes(self) -> int: ...


class Failure(Protocol):
    """A remote's newest failure."""

    @property
    def kind(self) -> ErrorKind: ...
    @property
    def message(self) -> str: ...
    @property
    def hint(self) -> str | None: ...
    @property
    def at_ms(self) -> int: ...
    @property
    def code(self) -> str | None: ...


class Remote(Protocol):
    """A remote's door; ``sidecar.gate.RemoteGate`` is one. ``reason`` is a sentence while in trouble."""

    @property
    def state(self) -> BreakerState: ...
    @property
    def reason(self) -> str | None: ...
    @property
    def last_error(self) -> Failure | None: ...


class Checksum(Protocol):
    """How bytes are checked on their way to S3; ``is_found``: auto knows it from what the store confirmed."""

    @property
    def setting(self) -> str: ...
    @property
    def put(self) -> str: ...
    @property
    def multipart(self) -> str: ...
    @property
    def is_found(self) -> bool: ...


class Standing(Protocol):
    """One root's files as the journal has them; ``present`` are there, ``unfinished`` not delivered yet."""

    @property
    def present(self) -> int: ...
    @property
    def unfinished(self) -> Mapping[State, int]: ...
    @property
    def unfinished_present(self) -> Mapping[State, int]: ...


class JournalReader(Protocol):
    """The journal's read side. Synchronous, bounded, never blocks a writer; called off the event loop.

    "Unfinished" rows are discovered, ready, uploaded, dead and abandoned. A path prefix is a folder or
    a file below ``root``: it matches itself and everything below it; "" is the whole root.
    """

    def counts(self) -> Mapping[State, int]:
        """Rows by state; absent is 0."""
        ...

    def backlog(self) -> tuple[int, int, float]:
        """Files, bytes, and age in seconds of the oldest, of what is ready or uploaded."""
        ...

    def assets(
        self, *, session_id: str | None, entity_id: str | None, state: State | None, limit: int, after: int
    ) -> Sequence[Transfer]:
        """Rows with an id above ``after``, by id, that match all given filters."""
        ...

    def dead_letters(self, *, limit: int, after: int) -> Sequence[Transfer]:
        """Dead rows with an id above ``after``, by id."""
        ...

    def transfers_of(self, root: str, path: str) -> Sequence[Transfer]:
        """Return 20 rows of one file: the one that it stands for, then the newest first."""
        ...

    def events_of(self, row: int) -> Sequence[tuple[int, str, str | None]]:
        """(wall ms, event, detail) of one row, oldest first."""
        ...

    def unfinished(
        self, *, session_id: str | None = None, root: str | None = None, prefix: str = ""
    ) -> Mapping[tuple[str, State], int]:
        """Unfinished rows by root and state; with no filter, all."""
        ...

    def standing(self) -> Mapping[str, Standing]:
        """Return the journal's side of the account, by root."""
        ...

    def delivered(
        self, *, synced: bool = True, session_id: str | None = None, root: str | None = None, prefix: str = ""
    ) -> tuple[int, int]:
        """Files and bytes that are delivered, also those gone since. Not ``synced``: S3 is the end."""
        ...

    def has_seen(self, *, session_id: str | None = None, root: str | None = None, prefix: str = "") -> bool:
        """Tell whether anything of a scope was ever taken in."""
        ...

    def sessions(self, *, limit: int) -> Sequence[str]:
        """Return the ids of known sessions, in their order."""
        ...

    def removal_counts(self) -> Mapping[tuple[str, RemovalState], int]:
        """Removals that Convex has not acknowledged, by root and state."""
        ...

    def removals(self, *, limit: int, after: int) -> Sequence[Removal]:
        """Those with an id above ``after``, by id."""
        ...

    def removals_of(self, rows: Sequence[int]) -> Mapping[int, Removal]:
        """Return those of the rows that have one."""
        ...

    def unfinished_transfers(
        self, *, session_id: str | None = None, root: str | None = None, prefix: str = "", limit: int
    ) -> Sequence[Transfer]:
        """Return the rows that ``unfinished`` counts, dead and abandoned ones first."""
        ...


class CannotError(Exception):
    """What was asked for cannot be done now; the message is one sentence."""


class ReconcileFinding(Protocol):
    """One inconsistency: its type, the object key and what repairs it (core/inconsistencies.py)."""

    @property
    def type(self) -> str: ...
    @property
    def key(self) -> str: ...
    @property
    def repair(self) -> str: ...


class ReconcileReport(Protocol):
    """What a comparison of journal, bucket and Convex found; counts by type."""

    @property
    def compared(self) -> int: ...
    @property
    def found(self) -> Mapping[str, int]: ...
    @property
    def repaired(self) -> Mapping[str, int]: ...
    @property
    def examples(self) -> Sequence[ReconcileFinding]: ...  # bounded
    @property
    def notes(self) -> Sequence[str]: ...


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
    def checksum(self) -> Checksum: ...
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

"""One account of every file: the closed set of classes, and what each class means to whoever asks.

After a quiet listing each path below a root has exactly one class. It is the class of the path's newest
transfer. Where the journal has none, or where the file changed since and is not sent any more, it is the
watch stage's finding. ``wait``, a drain, /status, the log, the metrics and ``explain`` all answer from this
table, so that none of them passes what another one fails. CONTRACT.md shows the table, and tests are made
from it.

What the journal has is counted where it is open; the rest of the files that are present counts as delivered
(``status/ledger.py``). What the journal does not have is counted by the census (``watch/scan/census.py``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from .model import State

Unmatched = Literal["misplaced", "all", "none"]  # which unmatched files count: `watch[].unmatched`


class FileClass(StrEnum):
    """What became of one file. The names are public: /status, /wait, /explain and metrics use them."""

    DELIVERED = "delivered"  # S3 holds it, and Convex knows it
    OWED = "owed"  # complete, on its way
    SETTLING = "settling"  # open for writing, or not quiet for long enough
    INCOMPLETE = "incomplete"  # its structure is, and nobody writes it
    HELD = "held"  # not sent yet by design
    REFUSED = "refused"  # a rule may want it, and it cannot be sent as it is
    MISPLACED = "misplaced"  # no rule takes it, but a rule takes its extension
    UNMATCHED = "unmatched"  # no rule takes it, nor its extension: scratch
    IGNORED = "ignored"  # the configuration says so
    DEAD = "dead"  # a dead letter
    ABANDONED = "abandoned"  # incomplete, without a writer, for too long


class Waiting(StrEnum):
    """What such a file does to ``wait``."""

    PASSES = "passes"  # it is counted as delivered
    WAITS = "waits"  # 75 at the end of the time
    FAILS = "fails"  # 1, once nothing is waited for any more
    IGNORES = "ignores"


class Draining(StrEnum):
    """What such a file does to a drain's exit status."""

    PASSES = "passes"
    WAITS = "waits"  # until the grace is over, then 75
    FAILS = "fails"  # 75
    FAILS_IF_NEW = "fails if new"  # 75 if it changed since the process started
    IGNORES = "ignores"


class Shown(StrEnum):
    """Where /status says it, besides counting it."""

    COUNTED = "counted"
    ATTENTION = "attention"  # a sentence there; delivery goes on
    STATE = "state"  # a reason: the state is degraded


Level = Literal["debug", "info", "warning", "error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassRow:
    """One row of the table. ``level`` is that of the log line that names such a file, None: no line does."""

    wait: Waiting
    drain: Draining
    status: Shown
    level: Level | None


TABLE: Mapping[FileClass, ClassRow] = {
    FileClass.DELIVERED: ClassRow(
        wait=Waiting.PASSES, drain=Draining.PASSES, status=Shown.COUNTED, level="info"
    ),
    FileClass.OWED: ClassRow(wait=Waiting.WAITS, drain=Draining.WAITS, status=Shown.COUNTED, level="debug"),
    FileClass.SETTLING: ClassRow(
        wait=Waiting.WAITS, drain=Draining.WAITS, status=Shown.COUNTED, level="debug"
    ),
    FileClass.INCOMPLETE: ClassRow(
        wait=Waiting.WAITS, drain=Draining.WAITS, status=Shown.COUNTED, level="debug"
    ),
    FileClass.HELD: ClassRow(
        wait=Waiting.FAILS, drain=Draining.FAILS, status=Shown.ATTENTION, level="warning"
    ),
    FileClass.REFUSED: ClassRow(
        wait=Waiting.FAILS, drain=Draining.FAILS, status=Shown.ATTENTION, level="warning"
    ),
    FileClass.MISPLACED: ClassRow(
        wait=Waiting.FAILS, drain=Draining.FAILS_IF_NEW, status=Shown.ATTENTION, level="warning"
    ),
    FileClass.UNMATCHED: ClassRow(
        wait=Waiting.IGNORES, drain=Draining.IGNORES, status=Shown.COUNTED, level=None
    ),
    FileClass.IGNORED: ClassRow(
        wait=Waiting.IGNORES, drain=Draining.IGNORES, status=Shown.COUNTED, level=None
    ),
    FileClass.DEAD: ClassRow(wait=Waiting.FAILS, drain=Draining.FAILS, status=Shown.ATTENTION, level="error"),
    FileClass.ABANDONED: ClassRow(
        wait=Waiting.FAILS, drain=Draining.FAILS, status=Shown.ATTENTION, level="warning"
    ),
}
# A root that is missing, unreadable or not ours: what lies in it nobody can tell.
ROOT_AWAY = ClassRow(wait=Waiting.FAILS, drain=Draining.FAILS, status=Shown.STATE, level="warning")

_OF_STATE = {
    State.DISCOVERED: FileClass.SETTLING,  # or incomplete, or refused: whoever looked at it knows
    State.READY: FileClass.OWED,
    State.UPLOADED: FileClass.OWED,
    State.SYNCED: FileClass.DELIVERED,
    State.DEAD: FileClass.DEAD,
    State.ABANDONED: FileClass.ABANDONED,
}
NAMED_MAX = 20  # files that one answer names, beside their number


def row_of(file_class: FileClass, unmatched: Unmatched = "misplaced") -> ClassRow:
    """Return the row that counts for a file, by what the configuration says of unmatched ones."""
    if file_class is FileClass.UNMATCHED and unmatched == "all":
        return TABLE[FileClass.MISPLACED]
    if file_class is FileClass.MISPLACED and unmatched == "none":
        return TABLE[FileClass.UNMATCHED]
    return TABLE[file_class]


def class_of(state: State, *, syncing: bool = True) -> FileClass | None:
    """Return the class of a file by the state of its newest transfer; None for what is only a version.

    ``syncing`` is False with ``convex.sync: off``: the upload is the end then.
    """
    if state is State.UPLOADED and not syncing:
        return FileClass.DELIVERED
    return _OF_STATE.get(state)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileScope:
    """What somebody asks about: a session, a folder or file below a root, or (neither) everything."""

    session_id: str | None = None
    root: str | None = None
    path: str = ""

    @property
    def is_all(self) -> bool:
        """Whether nothing is left out."""
        return self.session_id is None and self.root is None

    def covers(self, root: str, path: str) -> bool:
        """Tell whether a path lies in it, as far as paths tell."""
        return self.root is None or (self.root == root and is_within(path, self.path))


def is_within(path: str, folder: str) -> bool:
    """Tell whether a path is a folder, or lies below it; "" is the root itself."""
    return not folder or path == folder or path.startswith(f"{folder}/")


def table() -> str:
    """Return the table in Markdown."""
    head = ["class", "`wait`", "drain", "/status", "log", "metric"]
    rows = [
        [name, row.wait, row.drain, row.status, row.level or "-", f'`sidecar_files{{class="{name}"}}`']
        for name, row in TABLE.items()
    ]
    rows.append(["a root that is away", ROOT_AWAY.wait, ROOT_AWAY.drain, ROOT_AWAY.status,
                 ROOT_AWAY.level or "-", "`sidecar_root_trouble`"])  # fmt: skip
    return "\n".join(f"| {' | '.join(map(str, row))} |" for row in [head, ["---"] * len(head), *rows])

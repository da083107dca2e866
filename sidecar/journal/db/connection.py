"""Holds the connection, the transaction, and the one way to advance a transfer."""

from __future__ import annotations

import functools
import os
import sqlite3
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar, cast

from sqlite_utils import Database

from sidecar.core.clock import Clock
from sidecar.core.errors import JournalLostError
from sidecar.core.model import State, StatIdentity, Transfer
from sidecar.core.states import Event, step

from .integrity import end_use
from .meta import EPOCH, JOURNAL_ID, RECALLING, SCANNED
from .open import inode, lock, lock_path, open_database
from .quarantine import move_aside
from .rows import FROM_TRANSFERS, identity_values, transfer_from

P = ParamSpec("P")
T = TypeVar("T")
B = TypeVar("B", bound="JournalBase")
UPLOADS_KEPT_MAX = 10_000


class Topic(StrEnum):
    """What a commit may have made work for; stages subscribe to it."""

    CANDIDATES = "candidates"
    UPLOADS = "uploads"
    CLEANUP = "debts"
    OUTBOX = "outbox"
    SCENES = "scenes"
    LOOKUPS = "recalls"
    EXPIRIES = "expiries"
    PIECES = "pieces"


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """One step that was committed: one log line."""

    event: str
    transfer_id: str
    path: str
    state: str | None
    detail: str | None
    seconds_since_ready: float | None  # of steps that may end the way: since it was complete on disk
    session: str
    size_bytes: int
    version: int | None
    upload_seconds: float | None  # of the attempt that went through, if this process made it


def transaction(method: Callable[Concatenate[B, P], T]) -> Callable[Concatenate[B, P], T]:
    """Make a journal method one transaction: all of it is durable, or none of it ever was."""

    @functools.wraps(method)
    def whole(self: B, *args: P.args, **kwargs: P.kwargs) -> T:
        noted = len(self.transitions)
        try:
            with self.db.atomic():
                return method(self, *args, **kwargs)
        except BaseException:
            del self.transitions[noted:]
            raise

    return cast("Callable[Concatenate[B, P], T]", whole)


class JournalBase:
    """An open journal. ``topics`` and ``transitions`` gather until whoever commits takes them."""

    def __init__(
        self,
        path: Path,
        *,
        tag: str,
        bucket: str,
        clock: Clock,
        chance: Callable[[int], bytes] = os.urandom,
        lost: JournalLostError | None = None,
    ) -> None:
        """Open or create the journal at ``path`` for this process alone.

        ``tag`` is the sidecar's (core.ids); ``lost`` says why the journal that lies there must not be
        used. Such a one, and a damaged one, is moved aside and a new one begun: ``quarantined`` is then a
        sentence about it. Raises FatalError: 75 if another process has it open, 78 if it cannot be
        written, lies on a network disk or is of a newer version.
        """
        self.path, self.tag, self.bucket, self.clock, self.chance = path, tag, bucket, clock, chance
        self.topics: set[Topic] = set()
        self.transitions: list[Transition] = []
        self.quarantined: str | None = None
        self._latest_ms: int | None = None
        self.uploads_began: dict[int, float] = {}  # monotonic, of what is claimed
        self._uploads_took: dict[int, float] = {}
        self.blocked: set[str] = set()  # roots that are not ours now; in memory: it dies with the process
        self._lock_fd = lock(path)
        try:
            self.db, self.is_checked = self._open(lost)
        except BaseException:
            os.close(self._lock_fd)
            raise
        self._place = self._found()
        self._root_ids: dict[str, int] = {
            row["path"]: row["id"] for row in self.db.execute("SELECT id, path FROM roots")
        }
        self.is_new = self._is_new()
        self.journal_id = JOURNAL_ID.read(self.db) or JOURNAL_ID.write(self.db, str(uuid.uuid4()))
        self.is_recovering = RECALLING.is_set(self.db)
        self.epoch = EPOCH.read(self.db)

    @property
    def has_forerunner(self) -> bool:
        """Whether Convex knows of an earlier journal of this sidecar, lost or left elsewhere."""
        return self.epoch is not None and self.epoch > 1

    def _is_new(self) -> bool:
        """Tell whether nothing was ever put into this journal: its first life may have ended before that."""
        is_empty = self.db.execute("SELECT 1 FROM files LIMIT 1").fetchone() is None
        return is_empty and not SCANNED.is_set(self.db)

    def _open(self, lost: JournalLostError | None) -> tuple[Database, bool]:
        if lost is None:
            try:
                return open_database(self.path)
            except JournalLostError as error:
                lost = error
        moved = move_aside(self.path, wall_ms=self.clock.wall_ms()) if self.path.exists() else None
        self.quarantined = (
            f"{lost}: {f'it was moved to {moved}, and ' if moved else ''}a new journal was begun"
        )
        return open_database(self.path)

    def _found(self) -> list[tuple[int, int] | None]:
        """Return which files have our names now: the journal's and the lock's."""
        return [inode(self.path), inode(lock_path(self.path))]

    def beat(self) -> None:
        """Answer, and look whether our files still have their names.

        What is written to a removed file ends with this process, and its lock holds nobody off.
        Raises JournalLostError.
        """
        JOURNAL_ID.read(self.db)
        try:
            found = self._found()
        except OSError:
            return  # it cannot be told; a folder that fails shows where it is written to
        if found != self._place:
            raise JournalLostError(f"the journal {self.path} was removed or replaced while it was in use")

    def checkpoint_wal(self) -> bool:
        """Take SQLite's log into the file, outside of any transaction; tell whether it holds nothing now."""
        try:
            row = self.db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except sqlite3.Error:  # no room for that either; whoever writes next hears of anything worse
            return False
        return not row[0]

    def close(self) -> None:
        """Close the connection (SQLite checkpoints the WAL) and let the lock go."""
        end_use(self.db.conn)
        self.db.close()
        os.close(self._lock_fd)

    def later_ms(self) -> int:
        """Return the wall's time, never an earlier one than before: a clock set back makes nothing old."""
        if self._latest_ms is None:
            row = self.db.execute("SELECT at_ms FROM events ORDER BY id DESC LIMIT 1").fetchone()
            self._latest_ms = row["at_ms"] if row else 0
        self._latest_ms = max(self._latest_ms, self.clock.wall_ms())
        return self._latest_ms

    def one(self, row_id: int) -> Transfer:
        """Return a transfer. Raises LookupError if there is none: a bug in the caller."""
        transfer = self.find(row_id)
        if transfer is None:
            raise LookupError(f"the journal has no transfer {row_id}")
        return transfer

    def find(self, row_id: int) -> Transfer | None:
        """Return a transfer, or None where its row was dropped."""
        row = self.db.execute(f"{FROM_TRANSFERS} WHERE t.id = ?", [row_id]).fetchone()
        return transfer_from(row) if row else None

    def root_id(self, root: str) -> int:
        """Return the number of a root, giving it one if it is new."""
        if root not in self._root_ids:
            self.db.execute("INSERT OR IGNORE INTO roots (path) VALUES (?)", [root])
            row = self.db.execute("SELECT id FROM roots WHERE path = ?", [root]).fetchone()
            return int(row["id"])  # remembered by the next opening only: this transaction may yet fail
        return self._root_ids[root]

    def advance(self, transfer: Transfer, event: Event, detail: str | None = None) -> State | None:
        """Take one step of the state table, in the current transaction; the row of a dropped one goes."""
        state = step(transfer.state, event)
        if state is None:
            self.db.execute("DELETE FROM transfers WHERE id = ?", [transfer.row_id])
        else:
            ended_ms = self.later_ms() if state in {State.SUPERSEDED, State.GONE} else None
            self.db.execute(
                "UPDATE transfers SET state = ?, ended_ms = ? WHERE id = ?",
                [state, ended_ms, transfer.row_id],
            )
        self.record(transfer, event, state, detail)
        return state

    def record(self, transfer: Transfer, event: str, state: State | None, detail: str | None = None) -> None:
        """Write an event of a transfer, and remember to log it after the commit."""
        self.db.execute(
            "INSERT INTO events (at_ms, transfer, event, detail) VALUES (?, ?, ?, ?)",
            [self.clock.wall_ms(), transfer.row_id, event, detail],
        )
        since = None
        if event in {Event.ACKNOWLEDGED, Event.UPLOADED} and transfer.ready_ms is not None:
            since = max(0.0, (self.clock.wall_ms() - transfer.ready_ms) / 1000)
        self.transitions.append(
            Transition(
                event=event,
                transfer_id=transfer.transfer_id,
                path=transfer.display,
                state=state,
                detail=detail,
                seconds_since_ready=since,
                session=transfer.route.slot.session_id,
                size_bytes=transfer.size_bytes,
                version=transfer.version,
                upload_seconds=self._upload_seconds(transfer, event),
            )
        )

    def _upload_seconds(self, transfer: Transfer, event: str) -> float | None:
        """Return how long the upload took, at its end and at the end of the way."""
        if event == Event.UPLOADED and (began := self.uploads_began.pop(transfer.row_id, None)) is not None:
            self._uploads_took[transfer.row_id] = self.clock.monotonic() - began
            if len(self._uploads_took) > UPLOADS_KEPT_MAX:  # an outage of Convex: the oldest are not known
                self._uploads_took.pop(next(iter(self._uploads_took)))
            return self._uploads_took[transfer.row_id]
        return self._uploads_took.pop(transfer.row_id, None) if event == Event.ACKNOWLEDGED else None

    def set_identity(self, transfer: Transfer, identity: StatIdentity) -> None:
        """Remember what a file looked like when its content was handled, in both tables."""
        values = identity_values(identity)
        self.db.execute(
            "UPDATE transfers SET inode = ?, size = ?, mtime_ns = ?, ctime_ns = ? WHERE id = ?",
            [*values, transfer.row_id],
        )
        self.db.execute(
            "UPDATE files SET inode = ?, size = ?, mtime_ns = ?, ctime_ns = ? WHERE (root, folder, name) ="
            " (SELECT root, folder, name FROM transfers WHERE id = ?)",
            [*values, transfer.row_id],
        )

"""Holds the one connection to the journal's file: its lock, its transaction, and the news of a commit."""

from __future__ import annotations

import os
import sqlite3
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from pydantic_core import from_json

from sidecar.core.clock import Clock
from sidecar.core.errors import JournalLostError

from .entropy import Entropy
from .gathered import Gathered
from .integrity import end_use
from .meta import EPOCH, JOURNAL_ID, RECALLING, SCANNED
from .open import inode, lock, lock_path, open_database
from .transactions import atomic

_ROWS_MAX = 64  # of one statement. Fewer are a power of two: so few statements stay prepared
sqlite3.register_adapter(type(None), lambda none: none)  # or it looks for one, in vain, for each None
_GIVEN, _GIVEN_AND_FILLED = " VALUES {rows}", " SELECT * FROM (VALUES {rows}) WHERE column1 NOT NULL"


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


class Rare(StrEnum):
    """What there is seldom any of, so that nobody asks again and again. Who brings one says so."""

    OPEN_UPLOADS = "transfers that may have an upload open"
    DELAYED_UPLOADS = "uploads that wait for their time"
    DELAYED_OPS = "ops that wait for their time"


class Transition(NamedTuple):
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


class JournalConnection:
    """The journal's file, open. ``topics`` and ``transitions`` gather until whoever commits takes them."""

    def __init__(
        self,
        path: Path,
        *,
        tag: str,
        bucket: str,
        clock: Clock,
        chance: Callable[[int], bytes] | None = None,
        lost: JournalLostError | None = None,
    ) -> None:
        """Open or create the journal at ``path`` for this process alone.

        ``tag`` is the sidecar's (core.ids); ``lost`` says why the journal that lies there must not be
        used. Such a one, and a damaged one, is moved aside and a new one begun: ``quarantined`` is then a
        sentence about it. Raises FatalError: 75 if another process has it open, 78 if it cannot be
        written, lies on a network disk or is of a newer version.
        """
        self.path, self.tag, self.bucket, self.clock, self.chance = (
            path,
            tag,
            bucket,
            clock,
            chance or Entropy(),
        )
        self.topics: set[Topic] = set()
        self.transitions: list[Transition] = []
        self.gathered = Gathered()
        self._writers: list[Callable[[Gathered], None]] = []
        self._new_root_ids: dict[str, int] = {}  # of a transaction that may yet fail
        self._is_apart = self._is_spoilt = False
        self.quarantined: str | None = None
        self._lock_fd = lock(path)
        try:
            self.conn, self.is_checked = self._open(lost)
        except BaseException:
            os.close(self._lock_fd)
            raise
        self._place = self._found()
        self._root_ids: dict[str, int] = {
            row["path"]: row["id"] for row in self.execute("SELECT id, path FROM roots")
        }
        self.is_new = self._is_new()
        self.journal_id = JOURNAL_ID.read(self.conn) or JOURNAL_ID.write(self.conn, str(uuid.uuid4()))
        self.is_recovering = RECALLING.is_set(self.conn)
        self.none_of: set[Rare] = set()  # until one comes, or a transaction fails
        self.may_recall = True  # until it is found that no scene is (recovery.py)
        self.epoch = EPOCH.read(self.conn)

    def execute(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> sqlite3.Cursor:
        """Run one statement."""
        return self.conn.execute(sql, parameters)

    def insert(self, into: str, rows: Sequence[Sequence[Any]]) -> int:
        """Insert rows: ``into`` is a statement up to its VALUES. Returns the last one's rowid.

        Where rowids are given once (AUTOINCREMENT), those of the others are the ones before it: nobody else
        writes. No row may begin with NULL.
        """
        last: int | None = 0
        for first in range(0, len(rows), _ROWS_MAX):
            some = rows[first : first + _ROWS_MAX]
            count, values = _filled(some)
            given = _GIVEN if count == len(some) else _GIVEN_AND_FILLED
            last = self.conn.execute(_with_rows(into + given, len(rows[0]), count), values).lastrowid
        return last or 0

    def over(self, sql: str, rows: Sequence[Sequence[Any]]) -> list[sqlite3.Row]:
        """Run a statement over rows of values, which come where it has ``{rows}``: one step for many rows.

        Rows that begin with NULL make up the number: ask nothing of the first value that is true of NULL.
        """
        returned = list[sqlite3.Row]()
        for statement, values in _in_steps(sql, rows):
            returned += self.conn.execute(statement, values).fetchall()
        return returned

    def in_one(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> list[list[Any]]:
        """Return the rows of a question for ``json_array(...) AS one`` alone: they come over as one value.

        For each value of each row sqlite3 lets go of the interpreter and takes it again, and wakes in vain
        whoever waits for it. Neither REAL, of which SQLite writes 15 digits, nor BLOB can go this way.
        """
        (text,) = self.conn.execute(_as_one(sql), parameters).fetchone()
        rows: list[list[Any]] = from_json(text)
        return rows

    def over_in_one(self, sql: str, rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
        """Ask such a question over rows of values, as ``over`` does."""
        returned = list[list[Any]]()
        for statement, values in _in_steps(sql, rows):
            returned += self.in_one(statement, values)
        return returned

    @contextmanager
    def atomic(self) -> Iterator[None]:
        """Make all that is run inside durable, or none of it. At its end what was gathered is written.

        Inside of another one it is a part of that, which fails as a whole; while ``apart`` it fails alone.
        """
        if self.is_part:
            yield from self._part()
            return
        is_inner = self.conn.in_transaction
        noted = len(self.transitions)
        try:
            with atomic(self.conn):
                yield
                self.write_gathered()
        except BaseException:
            del self.transitions[noted:]
            self.gathered.clear()
            self._new_root_ids.clear()
            self.none_of.clear()
            self._is_spoilt, self.may_recall = False, True
            raise
        if not is_inner:
            self._root_ids |= self._new_root_ids
            self._new_root_ids.clear()

    @contextmanager
    def apart(self) -> Iterator[None]:
        """Let each ``atomic`` inside of another one fail alone: it is a savepoint then."""
        self._is_apart = True
        try:
            yield
        finally:
            self._is_apart = False

    def at_end(self, write: Callable[[Gathered], None]) -> None:
        """Let ``write`` turn what transactions have gathered into rows; who was first here writes first."""
        self._writers.append(write)

    def write_gathered(self) -> None:
        """Write what was gathered until now: for whoever reads it in the same transaction."""
        if self._is_spoilt:
            raise RuntimeError("a part of the transaction failed, and its caller went on")
        for write in self._writers:
            write(self.gathered)
        self.gathered.clear()

    @property
    def is_part(self) -> bool:
        """Whether an ``atomic`` that begins now is a part of another one."""
        return self.conn.in_transaction and not self._is_apart

    def spoil(self) -> None:
        """Let the transaction fail, since a part of it did: there is no savepoint to go back to."""
        self._is_spoilt = True

    def _part(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self.spoil()
            raise

    @property
    def has_forerunner(self) -> bool:
        """Whether Convex knows of an earlier journal of this sidecar, lost or left elsewhere."""
        return self.epoch is not None and self.epoch > 1

    def root_id(self, root: str) -> int:
        """Return the number of a root, giving it one if it is new."""
        number = self._root_ids.get(root) or self._new_root_ids.get(root)
        if number is None:
            self.execute("INSERT OR IGNORE INTO roots (path) VALUES (?)", [root])
            number = int(self.execute("SELECT id FROM roots WHERE path = ?", [root]).fetchone()["id"])
            known = self._new_root_ids if self.conn.in_transaction else self._root_ids
            known[root] = number
        return number

    def beat(self) -> None:
        """Answer, and check that our files still have their names.

        What is written to a removed file ends with this process, and its lock keeps nobody out.
        Raises JournalLostError.
        """
        JOURNAL_ID.read(self.conn)
        try:
            found = self._found()
        except OSError:
            return  # unknown; a folder that fails shows where it is written to
        if found != self._place:
            raise JournalLostError(f"the journal {self.path} was removed or replaced while it was in use")

    def checkpoint_wal(self) -> bool:
        """Take SQLite's log into the file, outside of any transaction; tell whether it is empty now."""
        try:
            row = self.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except sqlite3.Error:  # no room for that either; whoever writes next hears of anything worse
            return False
        return not row[0]

    def close(self) -> None:
        """Close the connection (SQLite checkpoints the WAL) and let the lock go."""
        end_use(self.conn)
        self.conn.close()
        os.close(self._lock_fd)

    def _is_new(self) -> bool:
        """Tell whether nothing was ever put into this journal: its first process may have ended earlier."""
        is_empty = self.execute("SELECT 1 FROM files LIMIT 1").fetchone() is None
        return is_empty and not SCANNED.is_set(self.conn)

    def _open(self, lost: JournalLostError | None) -> tuple[sqlite3.Connection, bool]:
        if lost is None:
            try:
                return open_database(self.path)
            except JournalLostError as error:
                lost = error
        from .quarantine import move_aside  # noqa: PLC0415 - hardly any journal is ever lost

        moved = move_aside(self.path, wall_ms=self.clock.wall_ms()) if self.path.exists() else None
        self.quarantined = (
            f"{lost}: {f'it was moved to {moved}, and ' if moved else ''}a new journal was begun"
        )
        return open_database(self.path)

    def _found(self) -> list[tuple[int, int] | None]:
        """Return which files have our names now: the journal's and the lock's."""
        return [inode(self.path), inode(lock_path(self.path))]


def _filled(rows: Sequence[Sequence[Any]]) -> tuple[int, list[Any]]:
    """Return a power of two and the values of as many rows; those that are missing begin with NULL."""
    count = 1 << (len(rows) - 1).bit_length()
    values = list(chain.from_iterable(rows))
    values += [None, *(0,) * (len(rows[0]) - 1)] * (count - len(rows))  # sqlite3 asks each None what it is
    return count, values


def _in_steps(sql: str, rows: Sequence[Sequence[Any]]) -> Iterator[tuple[str, list[Any]]]:
    """Yield the statement for some of the rows after the other, with their values."""
    for first in range(0, len(rows), _ROWS_MAX):
        count, values = _filled(rows[first : first + _ROWS_MAX])
        yield _with_rows(sql, len(rows[0]), count), values


@cache
def _as_one(sql: str) -> str:
    """Return the question for all rows as one JSON array.

    They keep their order: SQLite leaves an ORDER BY out only below count, min and max (its select.c).
    """
    return f"SELECT '[' || ifnull(group_concat(one), '') || ']' FROM ({sql})"


@cache
def _with_rows(sql: str, columns: int, rows: int) -> str:
    row = f"({', '.join(['?'] * columns)})"
    return sql.replace("{rows}", ", ".join([row] * rows))

"""The journal's own facts, of which there is one each: every key of ``meta``, with its type and its meaning.

They are read and written through their names here, on any connection, in the transaction of whoever does.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact(Generic[T]):
    """A fact that has a value. ``parse`` undoes ``str``."""

    key: str
    parse: Callable[[str], T]

    def read(self, db: sqlite3.Connection) -> T | None:
        """Return the value, None where there is none."""
        row = db.execute("SELECT value FROM meta WHERE key = ?", [self.key]).fetchone()
        return None if row is None else self.parse(row[0])

    def write(self, db: sqlite3.Connection, value: T) -> T:
        """Keep a value instead of the one before; returns it."""
        db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", [self.key, str(value)])
        return value

    def forget(self, db: sqlite3.Connection) -> None:
        """Keep no value any more."""
        db.execute("DELETE FROM meta WHERE key = ?", [self.key])


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A fact that is so, or is not. ``text`` is what is stored where it is so."""

    key: str
    text: str = "1"

    def is_set(self, db: sqlite3.Connection) -> bool:
        """Tell whether it is so."""
        return self._fact.read(db) is not None

    def set(self, db: sqlite3.Connection) -> None:
        """Let it be so."""
        self._fact.write(db, self.text)

    def clear(self, db: sqlite3.Connection) -> None:
        """Let it be so no more."""
        self._fact.forget(db)

    @property
    def _fact(self) -> Fact[str]:
        return Fact(key=self.key, parse=str)


# This journal's name to Convex, from its first opening on. A copy has its original's.
JOURNAL_ID = Fact(key="journal_id", parse=str)
# What boot of the machine and what file it is that a process uses, or used when it was killed (integrity.py).
IN_USE = Fact(key="in use", parse=str)
# The number that Convex gave this journal; none before the first registration.
EPOCH = Fact(key="epoch", parse=int)
# The highest seq of an op that was ever sent; none in a journal of a version that did not remember it.
SENT_SEQ = Fact(key="told_seq", parse=int)
# The checksums that a store was found to confirm, as JSON (core/checksum_algorithms.py).
CHECKSUMS = Fact(key="checksums", parse=str)
# The youngest time, as a transfer id begins, of which something that was uploaded was forgotten (pruning.py).
PRUNED = Fact(key="pruned", parse=str)
# The journal is new: what is discovered is held until the first full scan is over (recovery.py).
RECALLING = Mark(key="recalling")
# The first full scan of a new journal is over.
SCANNED = Mark(key="scanned")
# Convex is yet to be asked which scenes the journal before this one left unfinished.
UNFINISHED = Mark(key="unfinished", text="unasked")

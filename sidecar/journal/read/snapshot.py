"""Checks or copies a journal from another process, whether or not the daemon has it open.

Nothing of it is changed. SQLite's own locks make both safe at any time.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from sidecar.journal.db.fsync import fsync_path
from sidecar.journal.db.meta import JOURNAL_ID


class JournalUnreadableError(Exception):
    """It is not there, may not be read, or is no journal; the message is one sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """What ``back_up`` made."""

    path: Path
    size_bytes: int
    journal_id: str
    last_seq: int  # of the outbox: Convex knows a later one if the copy is old when it is restored


def open_snapshot(path: Path) -> sqlite3.Connection:
    """Open for reading. Raises JournalUnreadableError."""
    if not path.is_file():
        raise JournalUnreadableError(f"there is no journal {path}")
    uri, log = path.absolute().as_uri(), path.with_name(f"{path.name}-wal")
    try:
        try:
            return _opened(f"{uri}?mode=ro")
        except sqlite3.OperationalError:
            if log.exists() and log.stat().st_size:
                raise
            return _opened(f"{uri}?immutable=1")  # nobody uses it, and its folder may not be written
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise JournalUnreadableError(f"the journal {path} cannot be read: {error}") from error


def _opened(uri: str) -> sqlite3.Connection:
    connection = sqlite3.connect(uri, uri=True, isolation_level=None)
    try:
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA busy_timeout = 5000")
        connection.execute("SELECT 1 FROM meta LIMIT 1").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


def back_up(source: Path, target: Path) -> Copy:
    """Copy a journal as it is at one moment, checked and durable, under a name that is new.

    Raises JournalUnreadableError; OSError if the copy cannot be written.
    """
    if target.exists():
        raise JournalUnreadableError(f"{target} is there already; a copy is never written over")
    partial = target.with_name(f"{target.name}.part")
    partial.unlink(missing_ok=True)
    os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600))
    try:
        with closing(open_snapshot(source)) as journal, closing(sqlite3.connect(partial)) as copy:
            journal.backup(copy)  # in one step: of several, each write of the daemon's would begin it anew
            made = _finished(copy, target)
        fsync_path(partial)
        partial.rename(target)
        fsync_path(target.parent)
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise JournalUnreadableError(f"the journal {source} cannot be copied to {target}: {error}") from error
    finally:
        partial.unlink(missing_ok=True)
    return made


def _finished(copy: sqlite3.Connection, target: Path) -> Copy:
    (finding,) = copy.execute("PRAGMA quick_check(1)").fetchone()
    if finding != "ok":
        raise sqlite3.DatabaseError(finding)
    seq = copy.execute("SELECT seq FROM sqlite_sequence WHERE name = 'outbox'").fetchone()
    pages, page_bytes = (copy.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
    return Copy(
        path=target,
        size_bytes=pages * page_bytes,
        journal_id=JOURNAL_ID.read(copy) or "",
        last_seq=seq[0] if seq else 0,
    )

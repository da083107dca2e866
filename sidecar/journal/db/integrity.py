"""Decides whether the journal's file is checked before its use or, a big one, soon after; and checks it.

SQLite's log and ``synchronous = FULL`` keep the file whole through any end of the process, and through a
power cut on a disk that keeps what it says. What is left is a disk that does not, a copy that was taken of a
file in use, and bits that rot. ``PRAGMA quick_check`` reads every page, some five seconds a gigabyte when
they are not cached.

Up to 64 MiB the check is made at every opening. A bigger file is checked then only if the last process did
not end well *and* the machine was booted since (the kernel's boot id tells), or if it is another file (its
inode tells). Otherwise the same check runs once beside the work, after the first scan, and ends the life of
the daemon as any damage does (``daemon/integrity_check.py``). What rots is then found some seconds later than
at the opening, and no later than SQLite meets it.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from contextlib import closing
from pathlib import Path

from sidecar.core.errors import JournalLostError

from .meta import IN_USE

AT_ONCE_BYTES = 64 * 1024 * 1024  # some 0.3 s
# The second: SQLite's own sentence quotes what has rotted in the schema, and Python cannot read it.
FAILURES = (sqlite3.DatabaseError, UnicodeDecodeError)
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def _user(path: Path) -> str:
    """Return what stands for this boot of the machine and this file; if that is unknown, for nothing else."""
    try:
        boot = _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        boot = os.urandom(16).hex()
    found = path.stat()
    return f"{boot} {found.st_dev}:{found.st_ino}"


def may_skip_check(connection: sqlite3.Connection, path: Path) -> bool:
    """Tell whether a journal may be used before it is checked."""
    pages, page_bytes = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size")
    )
    if pages * page_bytes <= AT_ONCE_BYTES:
        return False
    last = IN_USE.read(connection)
    return last is None or last == _user(path)


def check(connection: sqlite3.Connection) -> None:
    """Check all of it. Raises sqlite3.DatabaseError with SQLite's finding."""
    (finding,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if finding != "ok":
        raise sqlite3.DatabaseError(" ".join(finding.split()))  # one line in any log


def begin_use(connection: sqlite3.Connection, path: Path) -> None:
    """Remember in the journal that it is in use from here on; on a full disk it is opened all the same."""
    with contextlib.suppress(sqlite3.OperationalError):
        IN_USE.write(connection, _user(path))


def end_use(connection: sqlite3.Connection) -> None:
    """Remember that nobody was in the middle of anything. Where it fails the next opening checks."""
    with contextlib.suppress(sqlite3.Error):
        IN_USE.forget(connection)


class IntegrityCheck:
    """The check in the background, on a connection of its own: it holds up nobody."""

    def __init__(self, path: Path) -> None:
        """Open the journal, which must exist, for reading."""
        self._path, self._is_stopped = path, False
        self._db = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, check_same_thread=False
        )

    def run(self) -> None:
        """Check; blocking. Raises JournalLostError; sqlite3.OperationalError if ``stop`` comes in between."""
        with closing(self._db):
            if self._is_stopped:
                return
            try:
                check(self._db)
            except FAILURES as error:
                if not is_damage(error):
                    raise
                raise JournalLostError(f"the journal {self._path} is damaged ({error})") from error

    def stop(self) -> None:
        """End it, from another thread."""
        self._is_stopped = True
        with contextlib.suppress(sqlite3.ProgrammingError):  # closed: it has ended by itself
            self._db.interrupt()


def is_damage(error: BaseException) -> bool:
    """Tell whether SQLite says that the file is not a whole database: neither a full disk nor our bug."""
    return type(error) is sqlite3.DatabaseError or isinstance(error, UnicodeDecodeError)

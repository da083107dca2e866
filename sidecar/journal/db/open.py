"""Opens the journal's file: for one process alone, on a disk that can be trusted, of a known schema.

A new file is made with ``auto_vacuum = INCREMENTAL``, which costs no time that could be measured. Without
it a flood's gigabytes would stay for ever on a disk that is shared with renderers
(``journal/stores/pruning.py`` gives the pages back). SQLite's log stays below a 64th of the disk, and below
4 MB.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sidecar.core.errors import FatalError, JournalLostError
from sidecar.core.mounts import kind_at

from . import integrity
from .migration_names import MIGRATION_NAMES, applied_migrations, is_empty

INCREMENTAL = 2  # what PRAGMA auto_vacuum answers
PAGE_BYTES = 4096
LOG_BYTES_MAX, LOG_BYTES_MIN = 1000 * PAGE_BYTES, 16 * PAGE_BYTES
LOG_SHARE = 64  # of a small disk: less than the reserve, or the log alone would use it up
FULL_BYTES = 1024 * 1024  # with less free than this SQLite cannot begin
TRY_LATER, BAD_CONFIGURATION = 75, 78
NETWORK_FILE_SYSTEMS = {"nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "ceph", "glusterfs"}


def exit_status(folder: Path) -> int:
    """Say how to end where nothing can be written in a folder: a full disk passes, the rest is configuration.

    A supervisor does not start again what ended with 78.
    """
    try:
        disk = os.statvfs(folder)
    except OSError:
        return BAD_CONFIGURATION
    is_full = disk.f_bavail * disk.f_frsize < FULL_BYTES or (disk.f_files > 0 and disk.f_favail == 0)
    return TRY_LATER if is_full else BAD_CONFIGURATION


def lock_path(path: Path) -> Path:
    """Return the file whose lock stands for the journal's."""
    return path.with_name(f"{path.name}.lock")


def inode(path: Path) -> tuple[int, int] | None:
    """Tell which file has a name: device and inode, None where there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def lock(path: Path) -> int:
    """Hold the journal for this process and return the lock's descriptor.

    Raises FatalError: 75 if a second instance has it or the disk is full, 78 if its folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(lock_path(path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise FatalError(
            f"the journal folder {path.parent} cannot be written: {error.strerror}",
            exit_status=exit_status(path.parent),
            hint="give journal.path a folder on a local disk that this user may write",
        ) from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _require_name(fd, path)
    except OSError as error:
        os.close(fd)
        raise FatalError(
            f"another sidecar has the journal {path} open",
            exit_status=75,
            hint="run one sidecar per journal, or give this one another journal.path",
        ) from error
    return fd


def _require_name(fd: int, path: Path) -> None:
    """Raise OSError for a lock whose file was removed meanwhile, with its journal: it keeps nobody out."""
    held = os.fstat(fd)
    if inode(lock_path(path)) != (held.st_dev, held.st_ino):
        raise FileNotFoundError(f"{lock_path(path)} was removed")


def open_database(path: Path) -> tuple[sqlite3.Connection, bool]:
    """Open or create the file, up to date; also tell whether it was checked to be whole (integrity.py).

    Raises FatalError, JournalLostError if damaged.
    """
    kind = _file_system(path.parent)
    if kind in NETWORK_FILE_SYSTEMS:
        raise FatalError(
            f"the journal {path} lies on {kind}, where SQLite's locks cannot be trusted",
            exit_status=78,
            hint="give journal.path a folder on a local disk",
        )
    connection: sqlite3.Connection | None = None
    try:
        connection = sqlite3.connect(
            path, isolation_level=None, check_same_thread=False, cached_statements=256
        )
        path.chmod(0o600)
        _prepare(connection, path.parent)
        is_checked = not integrity.may_skip_check(connection, path)
        if is_checked:
            integrity.check(connection)
        _migrate(connection, path)
        integrity.begin_use(connection, path)
    except BaseException as error:
        if connection is not None:
            connection.close()
        if not isinstance(error, integrity.FAILURES):
            raise
        raise _reported(path, error) from error
    return connection, is_checked


def _prepare(connection: sqlite3.Connection, folder: Path) -> None:
    connection.row_factory = sqlite3.Row
    # A new file is made so that pruning can give pages back; it must be said before anything is written.
    file = ("auto_vacuum = INCREMENTAL", "journal_mode = WAL", "synchronous = FULL", "busy_timeout = 5000")
    # Temporary tables stay in memory: a statement must not fail for want of a descriptor or a writable /tmp.
    memory = ("cache_size = -8000", "temp_store = MEMORY")
    disk = os.statvfs(folder)
    log_bytes = max(LOG_BYTES_MIN, min(LOG_BYTES_MAX, disk.f_blocks * disk.f_frsize // LOG_SHARE))
    log = (f"wal_autocheckpoint = {log_bytes // PAGE_BYTES}", f"journal_size_limit = {log_bytes}")
    for pragma in (*file, *memory, *log):
        connection.execute(f"PRAGMA {pragma}")


@contextmanager
def reporting(path: Path) -> Iterator[None]:
    """Raise what SQLite says while a journal is being opened as FatalError or JournalLostError."""
    try:
        yield
    except integrity.FAILURES as error:
        raise _reported(path, error) from error


def _reported(path: Path, error: Exception) -> FatalError | JournalLostError:
    if integrity.is_damage(error):
        return JournalLostError(f"the journal {path} is damaged ({error})")
    return FatalError(
        f"the journal {path} cannot be opened: {error}",
        exit_status=exit_status(path.parent),
        hint="check the folder's owner, its free space and that it is not mounted read-only",
    )


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Bring the tables up to date; an older program refuses a newer journal."""
    applied = applied_migrations(connection)
    unknown = applied - MIGRATION_NAMES
    if unknown:
        raise FatalError(
            f"the journal {path} was written by a newer version (it knows {', '.join(sorted(unknown))})",
            exit_status=78,
            hint="run that version again; an older one would misread it",
        )
    if is_empty(connection):
        from .new import create  # noqa: PLC0415 - a journal is new once

        create(connection)
    elif applied != MIGRATION_NAMES:
        from sqlite_utils import Database  # noqa: PLC0415 - a journal that is up to date does not need it

        from .migrations import migrations  # noqa: PLC0415 - nor these

        migrations.apply(Database(connection))


def _file_system(folder: Path) -> str | None:
    """Return the type of the file system that holds a folder, None where that cannot be told."""
    try:
        mounts = Path("/proc/self/mountinfo").read_text(errors="surrogateescape")
    except OSError:
        return None
    return kind_at(str(folder.resolve()), mounts)

"""The journals of programs that use the library: where they lie, and how an empty one goes.

Each has a folder of names to itself, ``<journal.path>.lib/<ulid>.db`` and what begins so: SQLite's files, the
lock, the id of its sidecar, the spool of files that were handed over. While its process lives it holds the
lock. What a process leaves is finished by whoever finds the lock free (``library_adoption.py``).
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import structlog

from sidecar.core.errors import FatalError
from sidecar.core.ids import sidecar_tag, transfer_id
from sidecar.journal.db.fsync import fsync_path
from sidecar.journal.db.open import lock, lock_path
from sidecar.journal.read.owed import owes
from sidecar.settings import Settings

SUFFIX = ".db"
# The journal's own names; the lock goes last, because it keeps others out until then.
_COMPANIONS = (".reserve", "-wal", "-shm", "")
_ID = (".id", ".id.new")
log = structlog.get_logger()


def folder_of(journal: Path) -> Path:
    """Return where the journals of programs lie, by the daemon's ``journal.path``."""
    return Path(f"{journal}.lib")


def spool_of(journal: Path) -> Path:
    """Return where a program's journal keeps the files that were handed over to it."""
    return Path(f"{journal}.spool")


def new_journal(journal: Path) -> Path:
    """Return the path of a journal that is not there yet, in the order of their making."""
    tag = sidecar_tag(os.urandom(16).hex())
    name = transfer_id(wall_ms=time.time_ns() // 1_000_000, chance=os.urandom(5), tag=tag)
    return folder_of(journal) / f"{name}{SUFFIX}"


def left_journals(journal: Path) -> Sequence[Path]:
    """Return all journals of programs, oldest first, whether in use or left. Blocking."""
    try:
        return sorted(path for path in folder_of(journal).iterdir() if path.suffix == SUFFIX)
    except FileNotFoundError:
        return []


def settings_for(settings: Settings, journal: Path) -> Settings:
    """Return what a life over a program's journal is built from: nothing is watched or deleted locally."""
    own = settings.journal.model_copy(update={"path": journal})
    return settings.model_copy(update={"journal": own, "sidecar_id": None, "watch": (), "removal": "keep"})


def retire(journal: Path) -> bool:
    """Remove a journal that owes nothing, unless somebody has it by now; tell whether it is gone. Blocking.

    One that took the place of a damaged one knows nothing of what that one owed: spool and id stay with it.
    Raises OSError, sqlite3.Error where that cannot be told or done.
    """
    with _held(journal) as is_ours:
        if not is_ours or (journal.exists() and owes(journal)):
            return False
        kept = is_quarantined(journal)
        if kept:
            _say_kept(journal)
        else:
            shutil.rmtree(spool_of(journal), ignore_errors=True)
        for companion in _COMPANIONS if kept else (*_COMPANIONS, *_ID):
            Path(f"{journal}{companion}").unlink(missing_ok=True)
        lock_path(journal).unlink(missing_ok=True)
        fsync_path(journal.parent)
    return True


def sweep(journal: Path) -> None:
    """Remove what a kill in the middle of ``retire`` left of journals that are gone. Blocking.

    Its lock's file is then there. A journal that is being made has its id before that.
    """
    folder = folder_of(journal)
    names = {path.name.partition(SUFFIX)[0] for path in folder.iterdir()} if folder.is_dir() else set()
    for name in names:
        left = folder / f"{name}{SUFFIX}"
        if lock_path(left).exists() and not left.exists() and not is_quarantined(left):
            retire(left)


def is_quarantined(journal: Path) -> bool:
    """Tell whether a damaged journal of this name was moved aside. Blocking."""
    return any(journal.parent.glob(f"{journal.name}.quarantined-*"))


def _say_kept(journal: Path) -> None:
    spool = spool_of(journal)
    files = sum(1 for path in spool.rglob("*") if path.is_file())
    log.error(
        "library_spool_kept",
        spool=str(spool),
        files=files,
        why="its journal was damaged and moved aside, and these may be the only copies",
        hint="store again what is missing, then remove the spool and the files that are named .quarantined",
    )


@contextmanager
def _held(journal: Path) -> Iterator[bool]:
    try:
        fd = lock(journal)
    except FatalError:
        yield False
        return
    try:
        yield True
    finally:
        os.close(fd)

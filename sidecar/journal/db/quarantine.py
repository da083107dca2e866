"""Moves a journal that must not be used any more aside, where people find it and no daemon uses it.

A journal is lost in one of three ways. It is damaged: SQLite says so, at the opening or later
(``integrity.py``). It is an old copy: Convex knows later ops of it (``Batches.registered``). Or it was
removed or replaced under the running daemon: each second the heartbeat compares the names with the open
files. Each raises JournalLostError. Then the file is renamed to ``<path>.quarantined-<time>``, together with
its ``-wal`` and ``-shm``, and a new journal with a new id, and so with a new epoch, is begun: at the opening,
or as a new run in the same process. The log and ``/status`` say so. No clean-up is made before Convex
has registered the journal, because the clean-up tasks of an old copy may be void.

``journal/stores/recovery.py`` explains how the new journal finds what the lost one had sent.
"""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from sidecar.core.errors import FatalError

from .fsync import fsync_path
from .open import exit_status

_COMPANIONS = ("-wal", "-shm", "")  # the journal itself last: a new one beside the old log would replay it


def move_aside(path: Path, *, wall_ms: int) -> Path:
    """Rename a closed journal, with what SQLite keeps beside it; return its new path.

    Nothing is ever overwritten. Raises FatalError where the folder cannot be written.
    """
    moment = datetime.fromtimestamp(wall_ms / 1000, UTC).strftime("%Y%m%dT%H%M%SZ")
    names = (f"{path}.quarantined-{moment}{f'-{n}' if n else ''}" for n in count())
    aside = next(Path(name) for name in names if not any(Path(name + c).exists() for c in _COMPANIONS))
    try:
        for companion in _COMPANIONS:
            if (old := Path(f"{path}{companion}")).exists():
                old.rename(f"{aside}{companion}")
        fsync_path(path.parent)
    except OSError as error:
        raise FatalError(
            f"the journal {path} must not be used and cannot be moved aside: {error}",
            exit_status=exit_status(path.parent),
            hint="give journal.path a folder on a local disk that this user may write",
        ) from error
    return aside

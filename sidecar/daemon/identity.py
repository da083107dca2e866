"""Makes this sidecar's id, once, on disk before anything carries it."""

from __future__ import annotations

import os
import re
import uuid
from dataclasses import dataclass
from pathlib import Path

from sidecar.core.errors import FatalError
from sidecar.journal.db.fsync import fsync_path
from sidecar.journal.db.open import exit_status

# It becomes a JWT's subject, an object's metadata and a document's field.
_ALLOWED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@-]{0,127}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """``is_new``: the id was made just now: nothing anywhere carries it. None: that cannot be told."""

    name: str
    is_new: bool | None


def identify(configured: str | None, journal: Path) -> Identity:
    """Return the configured id, or the one beside the journal, made and fsynced at the first start.

    It lives in a file of its own, so that it outlives a journal that is quarantined. Raises
    FatalError if it can be neither read nor written, or is no id.
    """
    if configured is not None:
        return Identity(name=_checked(configured, "sidecar_id"), is_new=None)
    path = Path(f"{journal}.id")
    try:
        if path.exists():
            return Identity(name=_checked(path.read_text(encoding="ascii").strip(), str(path)), is_new=False)
        path.parent.mkdir(parents=True, exist_ok=True)
        return Identity(name=_make(path), is_new=True)
    except (OSError, UnicodeDecodeError) as error:
        raise FatalError(
            f"the sidecar's id {path} cannot be read or made: {error}",
            exit_status=exit_status(path.parent),
            hint="give journal.path a folder on a local disk that this user may write",
        ) from error


def _make(path: Path) -> str:
    """Write, fsync, rename, fsync the folder: after a power cut there is a whole id or none."""
    name = f"sidecar-{uuid.uuid4().hex[:16]}"
    draft = path.with_name(f"{path.name}.new")
    with draft.open("w", encoding="ascii") as file:
        file.write(f"{name}\n")
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)
    fsync_path(path.parent)
    return name


def _checked(name: str, where: str) -> str:
    if not _ALLOWED.fullmatch(name):
        raise FatalError(
            f"{where} holds {name[:80]!r}, which is no sidecar id",
            exit_status=78,
            hint="1 to 128 letters, digits and ._:@-, a letter or digit first",
        )
    return name

"""Reads a file that a program hands over, as the daemon reads one, or copies it into a spool first.

Blocking: to be called from a thread.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sidecar.core.model import Fingerprint, StatIdentity
from sidecar.daemon.library_spool import discard
from sidecar.files import identity_of, open_regular
from sidecar.homes import home_of
from sidecar.journal.db.fsync import fsync_path
from sidecar.watch.complete.decide import Complete
from sidecar.watch.complete.fingerprint import Changed, Vanished
from sidecar.watch.complete.probe import (
    Abandon,
    ProbePolicy,
    ProbeRequest,
    Unreadable,
    VolumeAway,
    Wait,
    Withhold,
    probe,
    read,
)
from sidecar.watch.os.filesystem import Filesystems

from .errors import SourceError

ROOT = "/"
_FICLONE = 0x40049409
_COPY_BYTES = 8 * 1024 * 1024
# The program says that the file is complete: no quiet time is waited out.
_POLICY = ProbePolicy(settle_seconds=0.0, scanning=False, abandon_after_seconds=float("inf"))
_WORDS = {
    Changed: "it changed while it was read",
    Vanished: "there is no regular file",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRead:
    """A complete file: ``path`` below ``root``, on the volume ``home``, and what was read of it."""

    root: str
    path: str
    home: str | None
    fingerprint: Fingerprint


class SourceReader:
    """Looks at files; remembers what their volumes can tell of writers."""

    def __init__(self, *, part_bytes: int) -> None:
        """``part_bytes`` is what a large file is sent in."""
        self._part_bytes, self._volumes = part_bytes, Filesystems()

    def read(self, source: Path, *, check_structure: bool) -> SourceRead:
        """Read a file where it lies; links lead to it. Raises SourceError."""
        return self._read(ROOT, _resolved(source).lstrip("/"), source, check_structure=check_structure)

    def spool(self, source: Path, spool: Path, *, check_structure: bool) -> SourceRead:
        """Copy a complete file below ``spool``, durably, and read the copy. Raises SourceError."""
        path = _resolved(source).lstrip("/")
        seen = self._look(ROOT, path, source, check_structure=check_structure)[0]
        copy = f"{secrets.token_hex(8)}/{Path(path).name}"
        try:
            _copy(path, spool / copy, seen)
            return self._read(str(spool), copy, source, check_structure=False)
        except BaseException as error:
            discard(spool, copy)
            if isinstance(error, OSError):
                raise _failed(source, error.strerror or str(error)) from error
            raise

    def _read(self, root: str, path: str, source: Path, *, check_structure: bool) -> SourceRead:
        identity, found = self._look(root, path, source, check_structure=check_structure)
        if found is None:
            again = read(_request(root, path, check_structure=False), identity, part_bytes=self._part_bytes)
            if not isinstance(again, Fingerprint):
                raise _failed(source, _why(again))
            found = again
        home = home_of(root, path.rpartition("/")[0])
        return SourceRead(root=root, path=path, home=home, fingerprint=found)

    def _look(
        self, root: str, path: str, source: Path, *, check_structure: bool
    ) -> tuple[StatIdentity, Fingerprint | None]:
        """Return how a complete file looks, and of a small one what was read."""
        request = _request(root, path, check_structure=check_structure)
        result = probe(request, _POLICY, self._volumes, now=0.0)
        if result.identity is None or not isinstance(result.found, Fingerprint | Complete):
            raise _failed(source, _why(result.found))
        return result.identity, result.found if isinstance(result.found, Fingerprint) else None


def _request(root: str, path: str, *, check_structure: bool) -> ProbeRequest:
    return ProbeRequest(
        row_id=0,
        root=root,
        path=path,
        rule_settle_seconds=0.0,
        check_structure=check_structure,
        identity=None,
        quiet_since=0.0,
    )


def _resolved(source: Path) -> str:
    path = os.path.realpath(source)
    try:
        path.encode()
    except UnicodeEncodeError:
        raise _failed(source, "its path is not UTF-8") from None
    return path


def _copy(source: str, target: Path, seen: StatIdentity) -> None:
    """Copy an open file, by reference where the volume can; what changes meanwhile is no copy."""
    fd = open_regular(ROOT, source)
    try:
        target.parent.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        target.parent.mkdir(mode=0o700)
        copy = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            _fill(copy, fd)
            os.fsync(copy)
        finally:
            os.close(copy)
        if identity_of(os.fstat(fd)) != seen:
            raise OSError(errno.EBUSY, _WORDS[Changed])
    finally:
        os.close(fd)
    for folder in (target.parent, target.parent.parent):
        fsync_path(folder)


def _fill(copy: int, fd: int) -> None:
    with suppress(OSError):  # most volumes cannot share blocks
        fcntl.ioctl(copy, _FICLONE, fd)
        return
    offset = 0
    while sent := os.sendfile(copy, fd, offset, _COPY_BYTES):
        offset += sent


def _why(found: object) -> str:
    match found:
        case Wait(why=why) | Abandon(why=why) | Unreadable(why=why) | VolumeAway(why=why) | Withhold(why=why):
            return why
        case _:
            return _WORDS.get(type(found), "it cannot be read")


def _failed(source: Path, why: str) -> SourceError:
    return SourceError(f"{source} is not stored: {why}")

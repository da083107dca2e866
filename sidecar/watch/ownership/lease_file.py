"""The lease file of a root on a shared volume: one small record, read and replaced whole. Blocking.

Whoever may write into the root may write it: nothing of it is trusted but that it changes. It is opened by
name for every look, which is when network file systems ask their server.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Collection
from enum import Enum

from sidecar.core.lease_record import RECORD_BYTES_MAX
from sidecar.watch.os.filesystem import LEASE_NAME

_READ = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
NOT_A_FILE = b""  # what is seen of a link, a pipe or a device in its place: it never beats


class BeatOutcome(Enum):
    """What a beat met."""

    DONE = "ours, and now one beat on"
    NOTHING = "there is no lease file"
    OTHER = "another record"


class LeaseFile:
    """The lease file in an open folder, which stays the caller's. Raises OSError if the volume fails."""

    def __init__(self, folder: int) -> None:
        """``folder`` is the root's descriptor: whatever becomes of its name, it is the same folder."""
        self._folder = folder

    def read(self) -> bytes | None:
        """Return what is there, None for nothing."""
        try:
            fd = os.open(LEASE_NAME, os.O_RDONLY | _READ, dir_fd=self._folder)
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno in {errno.ELOOP, errno.ENXIO}:
                return NOT_A_FILE
            raise
        try:
            return _content(fd)
        finally:
            os.close(fd)

    def create(self, content: bytes) -> bool:
        """Put a record where there is none; False if there is one."""
        try:
            fd = os.open(LEASE_NAME, _NEW, 0o644, dir_fd=self._folder)
        except FileExistsError:
            return False
        try:
            _write(fd, content)
        except OSError:
            os.unlink(LEASE_NAME, dir_fd=self._folder)
            raise
        finally:
            os.close(fd)
        return True

    def replace(self, content: bytes) -> None:
        """Put a record in place of whatever is there, in one step."""
        draft = f"{LEASE_NAME}.{secrets.token_hex(8)}"
        fd = os.open(draft, _NEW, 0o644, dir_fd=self._folder)
        try:
            _write(fd, content)
            os.rename(draft, LEASE_NAME, src_dir_fd=self._folder, dst_dir_fd=self._folder)
        except OSError:
            os.unlink(draft, dir_fd=self._folder)
            raise
        finally:
            os.close(fd)

    def beat(self, before: Collection[bytes], after: bytes) -> BeatOutcome:
        """Write ``after`` over one of ``before``, which are as long, into the very file that held it."""
        try:
            fd = os.open(LEASE_NAME, os.O_RDWR | _READ, dir_fd=self._folder)
        except FileNotFoundError:
            return BeatOutcome.NOTHING
        except OSError as error:
            if error.errno in {errno.ELOOP, errno.ENXIO}:
                return BeatOutcome.OTHER
            raise
        try:
            if _content(fd) not in before:
                return BeatOutcome.OTHER
            _write(fd, after)
        finally:
            os.close(fd)
        return BeatOutcome.DONE

    def remove(self, content: bytes) -> None:
        """Leave no record behind that is ours."""
        if self.read() == content:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(LEASE_NAME, dir_fd=self._folder)

    def clear_drafts(self) -> None:
        """Remove what takeovers left that ended in the middle; one that is under way begins anew."""
        with os.scandir(self._folder) as entries:
            drafts = [entry.name for entry in entries if entry.name.startswith(f"{LEASE_NAME}.")]
        for draft in drafts:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(draft, dir_fd=self._folder)


def _content(fd: int) -> bytes:
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        return NOT_A_FILE
    return os.pread(fd, RECORD_BYTES_MAX, 0)


def _write(fd: int, content: bytes) -> None:
    done = 0
    while done < len(content):
        done += os.pwrite(fd, content[done:], done)
    os.fsync(fd)

"""Deletes one local file that is safe elsewhere, sure that it is that file and that nobody writes to it.

Between a check and an unlink a renderer may put another file in place, or open this one for writing.
So the file is first given a name that nobody knows, under a lease that holds writers up; what is found
under that name is what would be deleted, and whoever came meanwhile gets it back.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from enum import Enum

from sidecar.core.model import StatIdentity
from sidecar.files import NotRegularError, identity_of, open_folder, open_regular
from sidecar.watch.os.filesystem import PROBE_PREFIX
from sidecar.watch.os.write_lease import WriterCheck, take_read_lease

_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


class UnlinkOutcome(Enum):
    """What became of a file."""

    DELETED = "deleted"
    GONE = "it was gone before"
    KEPT = "it changed, or somebody writes to it"


def delete(root: str, path: str, *, expected: StatIdentity, transfer_id: str) -> UnlinkOutcome:
    """Delete ``root``/``path`` if it still is ``expected``; durable when it returns.

    ``transfer_id`` names it while it is looked at. Raises OSError where the folder may not be written.
    """
    try:
        fd = open_regular(root, path)
    except (FileNotFoundError, NotRegularError):
        return UnlinkOutcome.GONE
    try:
        if identity_of(os.fstat(fd)) != expected or take_read_lease(fd) is WriterCheck.BUSY:
            return UnlinkOutcome.KEPT
        above, _, name = path.rpartition("/")
        folder = open_folder(root, above)
        try:
            return _delete(fd, folder, name, aside=PROBE_PREFIX + transfer_id, expected=expected)
        finally:
            os.close(folder)
    finally:
        os.close(fd)


def restore(root: str, path: str, *, transfer_id: str) -> bool:
    """Undo what a crash left half done; tell whether the file is there."""
    above, _, name = path.rpartition("/")
    try:
        folder = open_folder(root, above)
    except (FileNotFoundError, NotRegularError):
        return False
    try:
        with contextlib.suppress(FileNotFoundError):
            _put_back(folder, PROBE_PREFIX + transfer_id, name)
        with contextlib.suppress(FileNotFoundError):
            os.stat(name, dir_fd=folder, follow_symlinks=False)
            return True
        return False
    finally:
        os.close(folder)


def _delete(fd: int, folder: int, name: str, *, aside: str, expected: StatIdentity) -> UnlinkOutcome:
    leased = _take_write_lease(fd)
    os.rename(name, aside, src_dir_fd=folder, dst_dir_fd=folder)
    # From here on nobody can open it by its name: a writer either waits for our lease, or had it open.
    try:
        is_deleted = _is_it(fd, folder, aside, expected) and not (leased and _is_wanted(fd))
        if is_deleted:
            os.unlink(aside, dir_fd=folder)
    except OSError:  # the volume fails half-way: the file keeps its name, if that can still be had
        _put_back(folder, aside, name)
        raise
    if is_deleted:
        os.fsync(folder)
        return UnlinkOutcome.DELETED
    _put_back(folder, aside, name)
    return UnlinkOutcome.KEPT


def _take_write_lease(fd: int) -> bool:
    """Take a lease that makes writers wait; it goes with the descriptor. False where leases cannot be had."""
    try:
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError:
        return False
    return True


def _is_wanted(fd: int) -> bool:
    """Tell whether somebody waits to write."""
    return fcntl.fcntl(fd, fcntl.F_GETLEASE) != fcntl.F_RDLCK


def _is_it(fd: int, folder: int, aside: str, expected: StatIdentity) -> bool:
    """Compare all but the ctime, which the new name has changed."""
    found, ours = os.stat(aside, dir_fd=folder, follow_symlinks=False), os.fstat(fd)
    same = (found.st_dev, found.st_ino) == (ours.st_dev, ours.st_ino)
    return same and (found.st_size, found.st_mtime_ns) == (expected.size_bytes, expected.mtime_ns)


def _put_back(folder: int, aside: str, name: str) -> None:
    """Give a file its name again, unless something newer has it: then that has replaced this."""
    try:
        os.link(aside, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
    except FileExistsError:
        pass
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        os.rename(aside, name, src_dir_fd=folder, dst_dir_fd=folder)
        return
    os.unlink(aside, dir_fd=folder)

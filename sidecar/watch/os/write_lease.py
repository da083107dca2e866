"""Asks the kernel whether any process has a file open for writing, by taking a read lease on it.

Exact on ext4, xfs, btrfs and tmpfs, over every uid, namespace, bind mount and hard link; a few
microseconds a probe. While the lease is held a writer's open() waits, so it is given back at once, or after
one read of a small file.
"""

from __future__ import annotations

import errno
import fcntl
import signal
from enum import Enum


class WriterCheck(Enum):
    """What the kernel says of writers."""

    FREE = "free"  # nobody has it open for writing at this moment
    BUSY = "busy"  # somebody has
    UNAVAILABLE = "unavailable"  # no answer: another owner, or a file system without leases


_NO_ANSWER = {
    errno.EACCES,
    errno.EPERM,
    errno.EINVAL,
    errno.ENOLCK,
    errno.EOPNOTSUPP,
    errno.ENOSYS,
    errno.EBADF,
}


def prepare() -> None:
    """Ignore SIGIO, which breaks a held lease and kills the process by default. Main thread only."""
    signal.signal(signal.SIGIO, signal.SIG_IGN)


def take_read_lease(fd: int) -> WriterCheck:
    """Take and return a read lease on ``fd`` (open for reading only); ``prepare`` was called before."""
    if (found := hold_read_lease(fd)) is WriterCheck.FREE:
        give_back(fd)
    return found


def hold_read_lease(fd: int) -> WriterCheck:
    """Take a read lease on ``fd`` and keep it, if the answer is FREE, until it is given back.

    Until then nobody opens the file for writing, or cuts it: whoever wants to waits. Hold it for what takes
    microseconds.
    """
    try:
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        return _refusal(error)
    return WriterCheck.FREE


def give_back(fd: int) -> bool:
    """Let writers in again. False if the kernel did already, since one had waited too long for us."""
    try:
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except BlockingIOError:
        return False
    return True


def _refusal(error: OSError) -> WriterCheck:
    if error.errno in {errno.EAGAIN, errno.EWOULDBLOCK}:
        return WriterCheck.BUSY
    if error.errno in _NO_ANSWER:
        return WriterCheck.UNAVAILABLE
    raise error

"""Flocks a root's own directory for as long as it is watched: one watcher on this machine."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass

POLL_SECONDS = 0.5
_NO_LOCKS = {errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS, errno.EBADF}


@dataclass(frozen=True, slots=True, kw_only=True)
class Flock:
    """The open root; closing ``fd`` gives it up. ``flocked`` is False where the volume has no locks."""

    fd: int
    flocked: bool


def try_flock(root: str) -> Flock | None:
    """Open and flock ``root``; None if another process has.

    Works on read-only folders. Raises OSError where the root cannot be opened.
    """
    fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return Flock(fd=fd, flocked=False)
        os.close(fd)
        if error.errno in {errno.EWOULDBLOCK, errno.EACCES}:
            return None
        raise
    return Flock(fd=fd, flocked=True)


async def acquire(root: str, *, executor: Executor, waiting: Callable[[], None]) -> Flock:
    """Wait until no other process of this machine watches ``root``; call ``waiting`` each time one does.

    Raises OSError where it cannot be opened.
    """
    loop = asyncio.get_running_loop()
    while (lock := await loop.run_in_executor(executor, try_flock, root)) is None:
        waiting()
        await asyncio.sleep(POLL_SECONDS)
    return lock


def device_and_inode(root: str) -> tuple[int, int] | None:
    """Return (device, inode) of what is at ``root`` now, or None where no folder is."""
    try:
        found = os.stat(root)  # noqa: PTH116 - the root's own symbolic link is the operator's word
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if os.path.isdir(root) else None  # noqa: PTH112 - the same

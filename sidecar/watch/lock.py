"""One watcher per root: the root's own directory is flocked for as long as it is watched."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
from collections.abc import Callable
from concurrent.futures import Executor

POLL_SECONDS = 0.5


def try_lock(root: str) -> int | None:
    """Open and flock ``root``; return the descriptor that holds it, or None if another process does.

    Works on read-only folders. A file system without locks counts as held: there is nothing to ask.
    Raises OSError where the root cannot be opened.
    """
    fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in {errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS, errno.EBADF}:
            return fd
        os.close(fd)
        if error.errno in {errno.EWOULDBLOCK, errno.EACCES}:
            return None
        raise
    return fd


async def acquire(root: str, *, executor: Executor, waiting: Callable[[], None]) -> int:
    """Wait until no other process watches ``root``; call ``waiting`` each time one does.

    Returns the descriptor; closing it gives the root up. Raises OSError where it cannot be opened.
    """
    loop = asyncio.get_running_loop()
    while (fd := await loop.run_in_executor(executor, try_lock, root)) is None:
        waiting()
        await asyncio.sleep(POLL_SECONDS)
    return fd


def place_of(root: str) -> tuple[int, int] | None:
    """Return (device, inode) of what is at ``root`` now, or None where no folder is."""
    try:
        found = os.stat(root)  # noqa: PTH116 - the root's own symbolic link is the operator's word
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if os.path.isdir(root) else None  # noqa: PTH112 - the same

"""Puts off uploads whose file our own disk keeps from us: they wait, are named, and cost no attempt.

A file that cannot be opened or read (LOCAL_IO) is nobody's fault, and S3's breaker hears nothing of it. The
first file that fails finds the topmost thing that is in the way: the root, a folder, the file, or this
process, where descriptors or memory are lacking (then connections to S3 and Convex fail alike, and the
adapters say so: ``core/os_errors.py``). All that wait for a folder are put off in one statement and come back
at 20 a second, whatever their number. The first that can be read lets 32 more try, and each of those again.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path

from sidecar.core.clock import Clock
from sidecar.core.errors import ErrorKind, SidecarError
from sidecar.core.model import Transfer
from sidecar.core.os_errors import exhausted
from sidecar.homes import Obstruction, find_obstruction, home_of
from sidecar.journal.stores.roots import Roots
from sidecar.journal.stores.upload_delays import UploadDelays
from sidecar.journal.writer import AsyncJournal
from sidecar.obstacles import PROCESS, Obstacles

PAUSE_SECONDS = (0.25, 5.0)  # between two tries; it grows with the time that something was in the way
TRIES_PER_SECOND = 20.0  # of all that wait for one thing
ALL_TRIES_PER_SECOND = 100.0  # of all things together
FOLLOWERS = 32  # that may try as soon as one file could be read
IDLE_SECONDS = 30.0  # nobody met it: does anybody still wait for it?
STALE_SECONDS = 600.0  # nobody met it, and it is none of ours


@dataclass(slots=True, kw_only=True)
class _Queue:
    """The transfers that wait for one thing: how many they are, and where it lies."""

    root: str
    below: str  # a folder or file below the root, "" is the root
    waiting: int = 0


class UnreadableSources:
    """Lets transfers wait for our own disk, and come back at a bounded rate."""

    def __init__(self, *, journal: AsyncJournal, clock: Clock, obstacles: Obstacles) -> None:
        """``obstacles`` are shared with whoever else reads files."""
        self._journal, self._clock, self._obstacles = journal, clock, obstacles
        self._queues: dict[str, _Queue] = {}

    async def failed(self, transfer: Transfer, error: SidecarError) -> None:
        """Put a transfer off whose file cannot be read now (LOCAL_IO); its lease is released."""
        cause = _cause(error)
        if exhausted(cause) is not None:
            self._obstacles.failed(PROCESS, cause)
            due = self._clock.monotonic() + self._pause(PROCESS)
            await self._journal.do(UploadDelays.delay_upload, transfer.row_id, error, due=due)
            return
        found = await asyncio.to_thread(find_obstruction, transfer.root, transfer.path, transfer.home)
        where = os.path.join(transfer.root, found.below) if found.below else transfer.root  # noqa: PTH118 - text
        self._obstacles.failed(where, cause)
        queue = self._queues.get(where)
        if queue is None:
            queue = self._queues[where] = _Queue(root=transfer.root, below=found.below)
            if found.is_folder:
                queue.waiting = await self._put_off_below(transfer.root, found, error)
        queue.waiting += transfer.error_kind != ErrorKind.LOCAL_IO
        due = self._clock.monotonic() + self._pause(where, queue)
        await self._journal.do(UploadDelays.delay_upload, transfer.row_id, error, due=due)

    def opened(self, transfer: Transfer) -> None:
        """Note that a transfer's file could be opened: every folder above it can be entered."""
        if not self._queues and not self._obstacles.are_there:
            return
        path = transfer.display
        if self._queues:
            for where in [where for where in self._queues if path.startswith(f"{where.rstrip('/')}/")]:
                del self._queues[where]
        self._obstacles.over_above(path)

    async def ended(self, transfer: Transfer) -> None:
        """Note that a transfer needs its file no more: let others try that wait as it did."""
        if self._queues or self._obstacles.are_there:
            self._queues.pop(transfer.display, None)
            self._obstacles.over(transfer.display)
        if transfer.error_kind == ErrorKind.LOCAL_IO:
            await self._follow_home(transfer)
            await self._journal.do(UploadDelays.hasten_readable, transfer.root, limit=FOLLOWERS)

    async def run(self) -> None:
        """Forget what nobody waits for any more, for ever."""
        while True:
            # What is met from here on is idle after that time at the earliest.
            await asyncio.sleep(PAUSE_SECONDS[1] if self._obstacles.are_there else IDLE_SECONDS)
            stale = self._obstacles.idle(STALE_SECONDS)
            for where in self._obstacles.idle(IDLE_SECONDS):
                if await self._is_waited_for(where, unless=where in stale):
                    continue
                self._queues.pop(where, None)
                self._obstacles.over(where)

    async def _is_waited_for(self, where: str, *, unless: bool) -> bool:
        if (queue := self._queues.get(where)) is None:
            return not unless
        return await self._journal.do(UploadDelays.waits_for_disk, queue.root, queue.below)

    def _pause(self, where: str, queue: _Queue | None = None) -> float:
        shortest, longest = PAUSE_SECONDS
        pause = min(max(shortest, self._obstacles.age_seconds(where) / 4), longest)
        if queue is None:
            return pause
        return max(pause, queue.waiting / TRIES_PER_SECOND, len(self._queues) / ALL_TRIES_PER_SECOND)

    async def _put_off_below(self, root: str, found: Obstruction, error: SidecarError) -> int:
        due = self._clock.monotonic() + PAUSE_SECONDS[0]
        return await self._journal.do(
            UploadDelays.delay_uploads_below,
            root,
            found.below,
            error,
            home=found.home,
            due=due,
            apart=1 / TRIES_PER_SECOND,
        )

    async def _follow_home(self, transfer: Transfer) -> None:
        """Take in the new name of a volume that came back: the very file that lay on it tells."""
        now = await asyncio.to_thread(_home_by_file, transfer)
        if transfer.home is not None and now not in {None, transfer.home}:
            await self._journal.do(Roots.move_home, transfer.root, home=transfer.home, to=now)


def _home_by_file(transfer: Transfer) -> str | None:
    """Return where a transfer's file lies, if it is there and the very one. Blocking."""
    try:
        found = Path(transfer.display).lstat()
    except OSError:
        return None
    known = transfer.identity
    is_it = known is not None and (found.st_ino, found.st_size, found.st_mtime_ns) == (
        known.inode,
        known.size_bytes,
        known.mtime_ns,
    )
    return home_of(transfer.root, transfer.path.rpartition("/")[0]) if is_it else None


def _cause(error: SidecarError) -> OSError:
    """Return the system's own word behind a LOCAL_IO."""
    if (own := exhausted(error)) is not None:
        return own
    return error.__cause__ if isinstance(error.__cause__, OSError) else OSError(error.message)

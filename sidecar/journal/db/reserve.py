"""Keeps room on the disk for the journal: given up when the disk is full, and taken again later.

With it the facts of work that is under way can still be written while a full disk is waited out
(``journal/writer.py``).
"""

from __future__ import annotations

import os
from pathlib import Path

RESERVE_BYTES = 4 * 1024 * 1024
SHARE = 20  # never more than a twentieth of the disk
OPENING_BYTES = 1024 * 1024  # what opening a journal may write: its recovery, its write-ahead log
SPARE_FACTOR = 4  # taken (again) only where four times as much is free: it must not fill the disk itself


class Reserve:
    """A file of allocated blocks beside the journal. Blocking; used by one thread at a time."""

    def __init__(self, journal: Path) -> None:
        """The file is ``<journal>.reserve``."""
        self.path = Path(f"{journal}.reserve")
        self.is_lacking = False  # it was given up, or there was no room for it

    @property
    def is_allocated(self) -> bool:
        """Tell whether there is something to give up."""
        return self.path.exists()

    def take(self) -> bool:
        """Allocate the reserve if it is not there and there is room; tell whether it is there."""
        self.is_lacking = not (self.is_allocated or self._allocate())
        return not self.is_lacking

    def _allocate(self) -> bool:
        try:
            size_bytes = self._fitting_bytes()
            if not size_bytes:
                return False
            fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError:
            return False
        try:
            os.posix_fallocate(fd, 0, size_bytes)
        except OSError:  # no room after all, or a file system that cannot
            self.path.unlink(missing_ok=True)
            return False
        finally:
            os.close(fd)
        return True

    def make_way(self) -> None:
        """Give it up where a journal that is about to be opened would find next to nothing free."""
        try:
            disk = os.statvfs(self.path.parent)
        except OSError:  # no folder yet: whoever opens the journal makes it, or says why not
            return
        if disk.f_bavail * disk.f_frsize < OPENING_BYTES:
            self.give_up()

    def give_up(self) -> bool:
        """Free the room; tell whether there was any."""
        self.is_lacking = True
        try:
            self.path.unlink()
        except OSError:
            return False
        return True

    def _fitting_bytes(self) -> int:
        disk = os.statvfs(self.path.parent)
        size_bytes = min(RESERVE_BYTES, disk.f_blocks * disk.f_frsize // SHARE)
        return size_bytes if disk.f_bavail * disk.f_frsize >= SPARE_FACTOR * size_bytes else 0

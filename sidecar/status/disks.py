"""Measures how full the disks are. A hung network volume costs one thread and old figures, nothing else."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

TIMEOUT_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Disks:
    """Free bytes under each path that could be asked, and the size of the journal."""

    free_bytes: Mapping[str, int] = field(default_factory=dict)
    journal_bytes: int = 0


class DiskGauge:
    """Measures off the event loop, one measurement at a time."""

    def __init__(self, journal_path: Path) -> None:
        """``journal_path`` and what SQLite keeps beside it are what the journal weighs."""
        self._journal_path = journal_path
        self._latest = Disks()
        self._under_way: asyncio.Future[Disks] | None = None

    async def measure(self, roots: Sequence[str]) -> Disks:
        """Return fresh figures, or the last ones where the disks do not answer in time."""
        if self._under_way is None or self._under_way.done():
            self._under_way = asyncio.ensure_future(asyncio.to_thread(_measure, self._journal_path, roots))
        mine = self._under_way
        done, _ = await asyncio.wait({mine}, timeout=TIMEOUT_SECONDS)
        if done:
            self._latest = mine.result()
        return self._latest


def _measure(journal: Path, roots: Sequence[str]) -> Disks:
    free = {path: _free_bytes(path) for path in [*roots, str(journal.parent)]}
    files = [journal.with_name(journal.name + companion) for companion in ("", "-wal", "-shm")]
    return Disks(
        free_bytes={path: size for path, size in free.items() if size is not None},
        journal_bytes=sum(map(_size_bytes, files)),
    )


def _free_bytes(path: str) -> int | None:
    try:
        volume = os.statvfs(path)
    except OSError:  # a root that is missing has no disk; /status says so elsewhere
        return None
    return volume.f_bavail * volume.f_frsize


def _size_bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # a journal without a write-ahead log
        return 0

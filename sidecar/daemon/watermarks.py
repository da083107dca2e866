"""Warns of disks that run full and work that piles up (``local_files.min_free``, ``max_pending``).

Measured off the event loop, each place by itself: a hung network volume hides no other.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sidecar.core.units import format_size

LOOK_SECONDS = 2.0
AUTO_SHARE, AUTO_BYTES = 20, 1024**3  # auto: the lesser of 5 % and 1 GiB
_ROOT = "{path} has {free} of free disk, less than local_files.min_free ({limit}): renderers may soon fail"
_JOURNAL = (
    "the disk that holds the journal ({path}) has {free} free, less than local_files.min_free ({limit}):"
    " soon nothing can be remembered, and so nothing shipped"
)
_PENDING = "{pending} wait to be shipped, more than local_files.max_pending ({limit})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """What statvfs says of a place, in bytes."""

    total_bytes: int
    free_bytes: int


def space_at(path: str) -> Space | None:
    """Return the space, or None where there is no such place. Blocking."""
    try:
        disk = os.statvfs(path)
    except OSError:  # a root that is missing is said elsewhere
        return None
    return Space(total_bytes=disk.f_blocks * disk.f_frsize, free_bytes=disk.f_bavail * disk.f_frsize)


def limit_bytes(min_free: int | Literal["auto"], space: Space) -> int:
    """Return how much should be free."""
    return min(space.total_bytes // AUTO_SHARE, AUTO_BYTES) if min_free == "auto" else min_free


class Watermarks:
    """Looks from time to time; ``troubles`` answers from memory."""

    def __init__(
        self,
        *,
        roots: Sequence[str],
        journal: Path,
        min_free: int | Literal["auto"],
        max_pending: int | None,
        pending_bytes: Callable[[], Awaitable[int]],
    ) -> None:
        """``journal`` is its file; ``pending_bytes`` returns what is complete and still owed."""
        self._places = dict.fromkeys(roots, _ROOT) | {str(journal.parent): _JOURNAL}
        self._min_free, self._max_pending, self._pending_bytes = min_free, max_pending, pending_bytes
        self._low: dict[str, str] = {}
        self._crowded: str | None = None

    def troubles(self) -> Sequence[str]:
        """Return a sentence for each watermark that is passed."""
        return [*self._low.values(), *([self._crowded] if self._crowded else [])]

    async def run(self) -> None:
        """Look, for ever."""
        async with asyncio.TaskGroup() as group:
            for place in self._places:
                group.create_task(self._watch(place))
            if self._max_pending is not None:
                group.create_task(self._count(self._max_pending))

    async def _watch(self, place: str) -> None:
        while True:
            self._judge(place, await asyncio.to_thread(space_at, place))
            await asyncio.sleep(LOOK_SECONDS)

    def _judge(self, place: str, space: Space | None) -> None:
        self._low.pop(place, None)
        if space is None or space.free_bytes >= (limit := limit_bytes(self._min_free, space)):
            return
        self._low[place] = self._places[place].format(
            path=place, free=_rounded(space.free_bytes), limit=_rounded(limit)
        )

    async def _count(self, limit: int) -> None:
        while True:
            pending = await self._pending_bytes()
            self._crowded = (
                _PENDING.format(pending=_rounded(pending), limit=_rounded(limit)) if pending > limit else None
            )
            await asyncio.sleep(LOOK_SECONDS)


def _rounded(size_bytes: int) -> str:
    """Return a size that people read at a glance, and that does not change with every byte."""
    for unit in (1024**4, 1024**3, 1024**2, 1024):
        if size_bytes >= unit:
            return format_size(size_bytes // unit * unit)
    return format_size(size_bytes)

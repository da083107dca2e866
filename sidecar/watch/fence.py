"""Nothing is shipped while it is not certain that a folder is ours: all effects on remotes pass here."""

from __future__ import annotations

import asyncio
from typing import Protocol

AGAIN_SECONDS = 0.05


class Held(Protocol):
    """What may lapse."""

    @property
    def holds(self) -> bool:
        """Whether it is certainly ours at this moment."""
        ...


class Fence:
    """Knows what is held on shared volumes. A process that was stopped finds it closed when it wakes up."""

    def __init__(self) -> None:
        """Open: nothing is held yet."""
        self._held: list[Held] = []

    def add(self, held: Held) -> None:
        """From now on nothing passes while this does not hold."""
        self._held.append(held)

    def discard(self, held: Held) -> None:
        """It was given up."""
        self._held.remove(held)

    async def passable(self) -> None:
        """Return at once, or when everything is confirmed again; if it is lost, the process ends first."""
        while not all(held.holds for held in self._held):  # noqa: ASYNC110 - time itself closes it
            await asyncio.sleep(AGAIN_SECONDS)

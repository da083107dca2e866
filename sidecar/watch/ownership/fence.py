"""The fence lets no effect on a remote pass while it is not certain that our folders are ours.

It closes when a lease is not confirmed in time, as when a stopped process wakes up or the volume hangs. If
the lease turns out to be another sidecar's, the process ends with status 1.

A call that was on its way when its process was stopped cannot be recalled, and its bytes may arrive. They
belong to a key of a transfer of ours, and Convex hears of it only through another call, which the fence
holds up. A virtual machine that is paused together with its clocks has up to three seconds of its own lease
left when it goes on.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

AGAIN_SECONDS = 0.05


class Lapsable(Protocol):
    """A lease that may lapse."""

    @property
    def holds(self) -> bool:
        """Whether it is certainly ours at this moment."""
        ...


class Fence:
    """Knows which folders of shared volumes are ours, and lets callers pass while all of them are."""

    def __init__(self) -> None:
        """Open: nothing is held yet."""
        self._leases: list[Lapsable] = []

    def add(self, lease: Lapsable) -> None:
        """Let nothing pass from now on while this does not hold."""
        self._leases.append(lease)

    def discard(self, lease: Lapsable) -> None:
        """Forget one that was given up."""
        self._leases.remove(lease)

    async def passable(self) -> None:
        """Return at once, or when everything is confirmed again; if it is lost, the process ends first."""
        while not all(lease.holds for lease in self._leases):  # noqa: ASYNC110 - time itself closes it
            await asyncio.sleep(AGAIN_SECONDS)

"""Draws the system's entropy for many at once: each draw is a system call, and lets other threads in."""

from __future__ import annotations

import os

_POOL_BYTES = 4096


class Entropy:
    """``os.urandom`` for one thread."""

    def __init__(self) -> None:
        """Draw nothing yet."""
        self._pool, self._used = b"", 0

    def __call__(self, size: int) -> bytes:
        """Return bytes that nobody was given before."""
        if self._used + size > len(self._pool):
            self._pool, self._used = os.urandom(max(size, _POOL_BYTES)), 0
        self._used += size
        return self._pool[self._used - size : self._used]

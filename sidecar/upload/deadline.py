"""A time limit on standing still: a slow link may need minutes for a part. And one on the whole, far off."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self


class Deadline:
    """``asyncio.timeout`` that starts anew with all progress. Raises TimeoutError at the block's end."""

    def __init__(self, seconds: float, *, total_seconds: float = math.inf) -> None:
        """Allow ``seconds`` without progress, and ``total_seconds`` in all."""
        self._seconds, self._total_seconds = seconds, total_seconds
        self._end = math.inf
        self._timeout = asyncio.timeout(seconds)
        self._live = False

    async def __aenter__(self) -> Self:
        """Start."""
        await self._timeout.__aenter__()
        self._end = asyncio.get_running_loop().time() + self._total_seconds
        self._live = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End; turn our own cancellation into TimeoutError."""
        self._live = False
        await self._timeout.__aexit__(kind, error, trace)

    def around(self, pace: Callable[[int], Awaitable[None]]) -> Callable[[int], Awaitable[None]]:
        """Return ``pace`` such that waiting for our own bandwidth limit does not count, and progress does."""

        async def paced(size_bytes: int) -> None:
            loop = asyncio.get_running_loop()
            before = loop.time()
            self._set(None)
            await pace(size_bytes)
            now = loop.time()
            self._end += now - before
            self._set(min(now + self._seconds, self._end))

        return paced

    def _set(self, when: float | None) -> None:
        # A body may still be on its way, in aiohttp's own task, when its answer has ended the block.
        if self._live and not self._timeout.expired():
            self._timeout.reschedule(when)

"""Watches over one call to Convex, which may take as long as it moves: a slow uplink is no outage.

``convex.timeout`` is a limit on standing still. httpx shows no socket of a connection that it uses again, so
a body goes in pieces, of 8 KiB on a slow line, and the kernel is told to take little ahead of the line; then
each piece that it takes is progress, as is every step of connecting.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Any, Self

PIECE_BYTES, PIECE_BYTES_MAX = 8 * 1024, 64 * 1024
PIECE_SHARE = 100  # a piece takes a hundredth of the limit, at the pace of the one before
PIECE_SECONDS = 0.001  # shorter times are noise
AHEAD_BYTES = 16 * 1024  # not yet on the line
REST_BYTES = 64 * 1024  # at most so much is on the line when the last piece is taken, ...
REST_BYTES_PER_SECOND = 4 * 1024  # ... and has this pace at least
TOTAL_TIMES = 4.0
DRIP_BYTES_PER_SECOND = 1024  # slower than this, in all, is on purpose


class TooSlowError(TimeoutError):
    """The call moved, and far too slowly for anything but purpose."""


class Deadline:
    """The watch over one call: ``seconds`` without progress end it, and a multiple of them that only drips.

    Leaving it raises TimeoutError then (TooSlowError).
    """

    def __init__(self, seconds: float) -> None:
        """Entering it begins the call."""
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._total_end = self._loop.time() + TOTAL_TIMES * seconds
        self._timeout = asyncio.timeout(seconds)

    async def __aenter__(self) -> Self:
        """Begin."""
        await self._timeout.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End; turn our own cancellation into TimeoutError."""
        try:
            await self._timeout.__aexit__(kind, error, trace)
        except TimeoutError:
            if self._loop.time() >= self._total_end:
                raise TooSlowError from None
            raise

    async def pieces(self, body: bytes) -> AsyncIterator[bytes]:
        """Return a body as it goes."""
        start, size = 0, PIECE_BYTES
        while start < len(body):
            began = self._loop.time()
            piece = body[start : start + size]
            yield piece
            start += size
            self.moved(max(len(piece), PIECE_BYTES))  # the last one is perhaps short
            bytes_per_second = len(piece) / max(self._loop.time() - began, PIECE_SECONDS)
            size = int(min(max(bytes_per_second * self._seconds / PIECE_SHARE, PIECE_BYTES), PIECE_BYTES_MAX))
        if len(body) > PIECE_BYTES:
            self.moved(0, more_seconds=min(len(body), REST_BYTES) / REST_BYTES_PER_SECOND)

    def stepped(self, name: str, about: Mapping[str, Any]) -> None:
        """Hear of a step of httpcore's; all but beginnings and failures are progress."""
        if not name.endswith(".complete") or name.endswith("send_request_body.complete"):
            return
        self.moved(0)
        if name == "connection.connect_tcp.complete":
            _take_little_ahead(about["return_value"].get_extra_info("socket"))

    def moved(self, size_bytes: int, *, more_seconds: float = 0.0) -> None:
        """Take in bytes that went or came; ``more_seconds`` are granted on top."""
        self._total_end += size_bytes / DRIP_BYTES_PER_SECOND + more_seconds
        if not self._timeout.expired():
            end = self._loop.time() + self._seconds + more_seconds
            self._timeout.reschedule(min(end, self._total_end))


def _take_little_ahead(connection: socket.socket | None) -> None:
    """Tell the kernel to take little ahead; where it cannot be told, what it took counts all the same."""
    option = getattr(socket, "TCP_NOTSENT_LOWAT", None)
    if connection is not None and option is not None:
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, option, AHEAD_BYTES)

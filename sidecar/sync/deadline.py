"""Watches over one call to Convex, which may take as long as it moves: a slow uplink is no outage.

``convex.timeout`` is a limit on standing still. Each step of connecting moves a call, as does what the other
side has acknowledged of its body (``connections/tcp_info.py``), and what comes of the answer. Steps that are
not told apart have their limits together. Most calls are over before the first look.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from sidecar.connections.tcp_info import TcpConnection

LOOKS = 8  # within the limit
SMALL_BYTES = 8 * 1024
REST_BYTES = 64 * 1024  # so much a proxy may have taken, and has yet to carry on, ...
REST_BYTES_PER_SECOND = 4 * 1024  # ... at this pace at least
UNTOLD_BYTES = 256 * 1024  # so much may lie in a kernel that does not tell what has arrived
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
        self._seconds = self._silent_seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._moved_at = self._loop.time()
        self._total_end = self._moved_at + TOTAL_TIMES * seconds
        self._transport: asyncio.Transport | None = None
        self._wire: TcpConnection | None = None
        self._body_bytes = self._arrived_bytes = 0
        self._is_out = False
        self._endings = 0

    def __enter__(self) -> Self:
        """Begin."""
        self._task = asyncio.current_task(self._loop)
        self._cancelling = self._task.cancelling() if self._task else 0
        self._timer = self._loop.call_later(self._seconds / LOOKS, self._look)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End; turn our own cancellation into TimeoutError, as ``asyncio.timeout`` does."""
        self._timer.cancel()
        task, self._task = self._task, None
        if not self._endings or task is None:
            return
        for _ in range(self._endings):
            task.uncancel()
        if task.cancelling() <= self._cancelling and kind is asyncio.CancelledError:
            raise (TooSlowError if self._loop.time() >= self._total_end else TimeoutError) from error

    def connecting(self, steps: int) -> None:
        """Say that a request begins, and of how many steps its way to a connection is, should it need one."""
        self._transport, self._silent_seconds = None, steps * self._seconds
        self.moved(0)

    def handed(self, transport: asyncio.Transport | None, size_bytes: int) -> None:
        """Say that a body begins on a connection, whole."""
        self._transport, self._wire, self._silent_seconds = transport, None, self._seconds
        self._body_bytes, self._arrived_bytes, self._is_out = size_bytes, 0, size_bytes <= SMALL_BYTES
        self.moved(0)

    def moved(self, size_bytes: int) -> None:
        """Take in bytes that arrived or came, or a step."""
        self._moved_at = self._loop.time()
        self._total_end += size_bytes / DRIP_BYTES_PER_SECOND

    def _look(self) -> None:
        if self._transport is not None:
            self._look_at(self._transport)
        now = self._loop.time()
        end = min(self._moved_at + self._silent_seconds, self._total_end)
        next_look = now + self._seconds / LOOKS
        if now < end:
            next_look = min(next_look, end)
        elif self._task is not None:
            self._endings += 1  # at each further look as well: it may hang in closing what it has
            self._task.cancel()
        self._timer = self._loop.call_at(next_look, self._look)

    def _look_at(self, transport: asyncio.Transport) -> None:
        """Ask the kernel what has arrived, from the first look on."""
        if self._wire is None:
            self._wire = TcpConnection(transport, written_bytes=self._body_bytes)
        arrived_bytes, nothing_pending = self._wire.arrived()
        if arrived_bytes > self._arrived_bytes:
            self.moved(arrived_bytes - self._arrived_bytes)
            self._arrived_bytes = arrived_bytes
        if nothing_pending and not self._is_out:
            self._is_out = True
            most = REST_BYTES if self._wire.is_told else UNTOLD_BYTES
            rest_seconds = min(self._body_bytes, most) / REST_BYTES_PER_SECOND
            self._moved_at += rest_seconds
            self._total_end += rest_seconds

"""Watches one call on the line: what is seen of it while it is under way."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable
from types import TracebackType
from typing import Any, Protocol, Self

from sidecar.connections.tcp_info import TcpConnection
from sidecar.core.standstill import SPAN_SECONDS, CallState, Standstill

TICK_SECONDS = 0.5  # between two looks
SETTLE_SECONDS = 1.5  # at first a body fills the buffers on its way, whatever the line carries


class CallObserver(Protocol):
    """The line, as its calls know it."""

    def begun(self, call: Call) -> None:
        """Look after a call from here on."""

    def over(self, call: Call, *, arrived: bool, now: float) -> None:
        """Let go of a call."""

    def moved(self, now: float, silent_seconds: float) -> None:
        """Take in that a byte of some call arrived, or came back."""


class Call:
    """One call on the line; entering it begins it. What stands still ends with TimeoutError at its exit."""

    def __init__(
        self,
        uplink: CallObserver,
        loop: asyncio.AbstractEventLoop,
        silent_seconds: float,
        length_bytes: int = 0,
    ) -> None:
        """``silent_seconds`` is its limit on standing still, ``length_bytes`` that of its body."""
        self._uplink, self._loop = uplink, loop
        self.silent_seconds, self.length_bytes = silent_seconds, length_bytes
        self.ending: Standstill | None = None
        self.begun_at = self.moved_at = self._loop.time()
        self.is_out = False
        self.gained_bytes = 0  # since the look before
        self._arrived_bytes = 0
        self._settled_at: float | None = None
        self._transport: asyncio.Transport | None = None
        self._wire: TcpConnection | None = None
        self._task: asyncio.Task[Any] | None = None
        self._is_written = self._is_throttled = False
        self._looks: deque[tuple[float, int]] = deque()

    def __enter__(self) -> Self:
        """Begin."""
        self._task = asyncio.current_task(self._loop)  # to look for the loop is a system call
        self._cancelling = self._task.cancelling() if self._task else 0
        self._uplink.begun(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End; turn our own cancellation into TimeoutError, as ``asyncio.timeout`` does."""
        self._uplink.over(self, arrived=kind is None, now=self._loop.time())
        task, self._task = self._task, None  # whose context may know us: a circle
        if self.ending is None or task is None:
            return
        if task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error

    # -- what the body and the answer say ----------------------------------------------------------
    def on(self, transport: asyncio.Transport | None) -> None:
        """Say that the body begins on a connection; once more where it is sent again."""
        self._wire = TcpConnection(transport) if transport is not None else None
        self._begin(transport, is_written=False)

    def handed(self, transport: asyncio.Transport) -> None:
        """Say the same of a small body that is written whole: the kernel is not asked before the first look.

        Most are over by then. What has arrived earlier is not counted.
        """
        self._wire = None
        self._begin(transport, is_written=True)

    async def throttled(self, wait: Awaitable[None]) -> None:
        """Wait for our own bandwidth limit, which is no standstill."""
        self._is_throttled = True
        try:
            await wait
        finally:
            self._is_throttled = False
            self.moved_at = self._loop.time()

    def wrote(self, size_bytes: int) -> None:
        """Count bytes that were handed to the connection; once more with 0 at the body's end."""
        self._is_written = size_bytes == 0
        if self._wire is not None:
            self._wire.written_bytes += size_bytes

    def read(self, size_bytes: int) -> None:
        """Count bytes of the answer's body."""
        self._arrived_bytes += 0 if self.length_bytes else size_bytes
        self._moved(self._loop.time())

    # -- for the line ------------------------------------------------------------------------------
    def look(self, now: float) -> None:
        """See what has arrived of the body."""
        self.gained_bytes = 0
        if self._is_throttled:
            self.moved_at = now
        if self._transport is None:
            return
        if self._wire is None:
            self._wire = TcpConnection(self._transport, written_bytes=self.length_bytes)
        arrived, nothing_pending = self._wire.arrived()
        self.gained_bytes = max(0, arrived - self._arrived_bytes)
        if self.gained_bytes:
            self._arrived_bytes = arrived
            self._moved(now)
            self._settled_at = self._settled_at or now + SETTLE_SECONDS
        self.is_out = self._is_written and nothing_pending
        if self.is_settled:
            self._looks.append((now, arrived))
            while now - self._looks[0][0] > SPAN_SECONDS and len(self._looks) > 1:
                self._looks.popleft()

    @property
    def is_settled(self) -> bool:
        """Whether what arrives now tells how fast the line is."""
        return self._settled_at is not None and self._loop.time() >= self._settled_at and not self.is_out

    @property
    def bytes_per_second(self) -> float | None:
        """Bytes a second over ``SPAN_SECONDS``; None before that."""
        if not self._looks or self._looks[-1][0] - self._looks[0][0] < SPAN_SECONDS - 2 * TICK_SECONDS:
            return None
        (began, before), (now, after) = self._looks[0], self._looks[-1]
        return (after - before) / (now - began)

    def state(self) -> CallState:
        """Return what is known, for a decision."""
        return CallState(
            silent_seconds=self.silent_seconds,
            begun_at=self.begun_at,
            moved_at=self.moved_at,
            length_bytes=self.length_bytes,
            arrived_bytes=self._arrived_bytes,
            is_connected=self._transport is not None,
            is_out=self.is_out,
            bytes_per_second=self.bytes_per_second,
        )

    def end(self, why: Standstill) -> None:
        """Give the call up."""
        if self.ending is None:
            self.ending = why
            if self._task is not None:
                self._task.cancel()

    def _begin(self, transport: asyncio.Transport | None, *, is_written: bool) -> None:
        self._transport, self._is_written = transport, is_written
        self._arrived_bytes, self._settled_at = 0, None
        self._looks.clear()
        self._moved(self._loop.time())

    def _moved(self, now: float) -> None:
        self.moved_at = now
        self._uplink.moved(now, self.silent_seconds)

"""An event loop whose time passes only while nobody has anything to do, and then at once."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextvars import Context
from heapq import heappop, heappush
from typing import Any, TypeVarTuple, Unpack

Ts = TypeVarTuple("Ts")


class PowerCut(BaseException):
    """What a task gets that touches a port after the end: nothing happens any more."""


class StalledError(Exception):
    """Every task waits, and no timer will ever wake one."""


class VirtualLoop(asyncio.BaseEventLoop):
    """Deterministic: no sockets, no threads, no waiting. ``now`` is its time in seconds.

    What a selector would do is left out, since there is nothing to select: thousands of lives pass here.
    """

    _ready: deque[asyncio.Handle]  # asyncio's own
    _scheduled: list[asyncio.TimerHandle]

    def __init__(self, now: float) -> None:
        """Begin at ``now``."""
        super().__init__()
        self.now = now

    def time(self) -> float:
        """Return the virtual time."""
        return self.now

    def call_soon(
        self, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """Call it in the next turn."""
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Call it when its time has come."""
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        heappush(self._scheduled, timer)
        return timer

    def _run_once(self) -> None:
        ready, scheduled = self._ready, self._scheduled
        while not ready:
            if not scheduled:
                raise StalledError
            timer = heappop(scheduled)
            if not timer.cancelled():
                self.now = max(self.now, timer.when())
                ready.append(timer)
        for _ in range(len(ready)):
            handle = ready.popleft()
            if not handle.cancelled():
                handle._run()

    def run_in_executor(
        self, _executor: object, func: Callable[..., Any], *args: object
    ) -> asyncio.Future[Any]:
        """Do the work on the loop itself, one turn later, as a thread that is never slow would."""
        future = self.create_future()
        self.call_soon(self._work, future, func, args)
        return future

    def _work(self, future: asyncio.Future[Any], func: Callable[..., Any], args: tuple[Any, ...]) -> None:
        if future.cancelled():
            return
        try:
            result = func(*args)
        except PowerCut:
            return  # nobody hears of it any more
        except Exception as error:  # noqa: BLE001 - handed to whoever waits, as an executor does
            future.set_exception(error)
        else:
            future.set_result(result)

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """It is passed over when its time comes."""


class VirtualClock:
    """The daemon's clocks on a loop. The monotonic one begins anew, lower, with every life."""

    WALL_MS = 2_208_988_800_000  # 2040: later than the times that the machine gives to files

    def __init__(self, loop: VirtualLoop, *, life: int) -> None:
        """``life`` counts from 0."""
        self._loop, self._offset = loop, 10_000_000.0 - 10_000.0 * life - loop.now

    def wall_ms(self) -> int:
        """Milliseconds since 1970."""
        return wall_ms(self._loop.now)

    def monotonic(self) -> float:
        """Seconds of this life."""
        return self._loop.now + self._offset


def wall_ms(now: float) -> int:
    """Return the wall's time of a virtual time."""
    return VirtualClock.WALL_MS + int(now * 1000)

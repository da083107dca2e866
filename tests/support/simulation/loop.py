"""An event loop whose time passes only while nobody has anything to do, and then at once."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from typing import Any

Door = Callable[[str, str], bool]


class StalledError(Exception):
    """Every task waits, and no timer will ever wake one."""


class _Idle:
    """Stands where a selector would wait for sockets: there are none, so time may pass."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> list[Any]:
        if timeout is None:
            raise StalledError
        self._loop.now += max(timeout, 0.0)
        return []


class VirtualLoop(asyncio.BaseEventLoop):
    """Deterministic: no sockets, no threads, no waiting. ``now`` is its time in seconds.

    ``door`` is asked before and after each piece of a thread's work; where it says no, nobody hears more.
    """

    def __init__(self, now: float) -> None:
        """Begin at ``now``."""
        super().__init__()
        self.now = now
        self.door: Door = _open_door
        self._selector = _Idle(self)

    def time(self) -> float:
        """Return the virtual time."""
        return self.now

    def run_in_executor(
        self, _executor: object, func: Callable[..., Any], *args: object
    ) -> asyncio.Future[Any]:
        """Do the work on the loop itself, one turn later, as a thread that is never slow would."""
        future = self.create_future()
        self.call_soon(self._work, future, func, args)
        return future

    def _work(self, future: asyncio.Future[Any], func: Callable[..., Any], args: tuple[Any, ...]) -> None:
        name = name_of(func)
        if future.cancelled() or not self.door(name, "before"):
            return
        try:
            result = func(*args)
        except Exception as error:  # noqa: BLE001 - handed to whoever waits, as an executor does
            future.set_exception(error)
            return
        if self.door(name, "after"):
            future.set_result(result)

    def _process_events(self, _events: list[Any]) -> None:
        """There are none."""

    def _write_to_self(self) -> None:
        """Nobody sleeps in a selector."""


def name_of(work: Callable[..., Any]) -> str:
    """Return the name of the function that asyncio.to_thread was given."""
    inner = work.args[0] if isinstance(work, functools.partial) and work.args else work
    return str(getattr(inner, "__name__", ""))


def _open_door(_name: str, _when: str) -> bool:
    return True


class VirtualClock:
    """The daemon's clocks on a loop. The monotonic one begins anew, lower, with every life."""

    WALL_MS = 2_208_988_800_000  # 2040: later than the times that the machine gives to files

    def __init__(self, loop: VirtualLoop, *, life: int) -> None:
        """``life`` counts from 0."""
        self._loop, self._offset = loop, 100_000.0 - 10_000.0 * life - loop.now

    def wall_ms(self) -> int:
        """Milliseconds since 1970."""
        return wall_ms(self._loop.now)

    def monotonic(self) -> float:
        """Seconds of this life."""
        return self._loop.now + self._offset


def wall_ms(now: float) -> int:
    """Return the wall's time of a virtual time."""
    return VirtualClock.WALL_MS + int(now * 1000)

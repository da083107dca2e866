"""Synchronous twins of coroutines, on one loop thread per process. They refuse inside of a running loop."""

from __future__ import annotations

import asyncio
import functools
import os
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from sidecar.threads import Threads

from .errors import WrongLoopError


class OnLoop(Protocol):
    """What lives on one event loop."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop. Raises ClosedError, ForkedError."""
        ...


S = TypeVar("S", bound=OnLoop)
P = ParamSpec("P")
T = TypeVar("T")
_lock = threading.Lock()
_threads: dict[int, asyncio.AbstractEventLoop] = {}  # by process: a fork has none of its parent's threads


def loop_thread() -> asyncio.AbstractEventLoop:
    """Return this process's loop, whose thread runs until the process ends.

    It is none of uvloop's: its pool of threads is joined at the end of a forked child, too, which crashes.
    """
    with _lock:
        if (pid := os.getpid()) not in _threads:
            _threads.clear()
            loop = _threads[pid] = asyncio.new_event_loop()
            loop.set_default_executor(Threads(name="sidecar-worker"))
            threading.Thread(target=loop.run_forever, name="sidecar", daemon=True).start()
        return _threads[pid]


def call(loop: asyncio.AbstractEventLoop, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine to its end on another thread's loop. Raises WrongLoopError inside of a running loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run_coroutine_threadsafe(work(), loop).result()
    raise WrongLoopError("a synchronous call would block the running event loop: await the coroutine instead")


def blocking(
    method: Callable[Concatenate[S, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[S, P], T]:
    """Return the synchronous twin of a coroutine method."""

    @functools.wraps(method)
    def twin(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return call(self.loop, lambda: method(self, *args, **kwargs))

    twin.__doc__ = f"Do as ``{method.__name__}`` does, and wait. Raises WrongLoopError in a running loop."
    del twin.__wrapped__  # it is no coroutine
    return twin

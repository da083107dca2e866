"""The watch stage's worker threads: no file-system call runs on the event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

from sidecar.threads import Threads

T = TypeVar("T")


class WorkerThreads:
    """A few threads, and the CPU time that a piece of work took in one of them."""

    def __init__(self, threads: int, *, name: str = "watch") -> None:
        """``name`` is the threads'."""
        self.executor = Threads(threads, name=name)

    async def do(self, work: Callable[[], T]) -> T:
        """Run ``work`` in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self.executor, work)

    async def timed(self, work: Callable[[], T]) -> tuple[T, float]:
        """Run ``work`` in a thread, return its result and its CPU seconds."""

        def measured() -> tuple[T, float]:
            began = time.thread_time()
            result = work()
            return result, time.thread_time() - began

        return await self.do(measured)

    def close(self) -> None:
        """Let the threads go when they have finished what they do."""
        self.executor.shutdown(wait=False, cancel_futures=True)

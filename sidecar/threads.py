"""Worker threads for a machine that may give no more of them: those that there are do all the work."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

DEFAULT_MAX = 32  # as asyncio's own: a few more than there are cores, at most this many


class Threads(ThreadPoolExecutor):
    """A pool whose first thread is made with it, and that goes on with fewer than it wants.

    The library's own raises RuntimeError out of ``submit`` where the system refuses a thread (a limit of
    processes, of a container's pids, of memory), after the work was queued.
    """

    def __init__(self, most: int | None = None, *, name: str = "worker") -> None:
        """Raises RuntimeError where not even one thread can be had."""
        super().__init__(most or min(DEFAULT_MAX, (os.cpu_count() or 1) + 4), thread_name_prefix=name)
        self.submit(int).result()

    def _adjust_thread_count(self) -> None:
        try:
            super()._adjust_thread_count()
        except RuntimeError:
            if not self._threads:
                raise

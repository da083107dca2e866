"""watchfiles as a hint: a thread that hands over what inotify told, and says when it can no longer.

It is never the truth: it misses files in folders that are filled as they are made, loses events
without a word when its queue is full, and breaks at a name that is not UTF-8. Whoever uses it walks
new folders itself and lists everything from time to time, and after every loss.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from watchfiles import Change
from watchfiles._rust_notify import RustNotify

STEP_MS = 10  # how long events gather: half of what a file waits for its notice
POLL_MS = 1000
CHANGES_MAX = 8_192  # of one batch: half of inotify's queue, beyond which events are lost silently


class WatchLostError(Exception):
    """The watcher broke or may have lost events: build a new one and list everything."""


class Notifier:
    """One inotify watcher over one tree, in a thread of its own.

    watchfiles' ``awatch`` is not used because it walks the tree on the event loop when it begins,
    and does not say when it has begun: the full listing has to come after that.
    """

    def __init__(self, root: str, *, tolerant: bool = False) -> None:
        """``tolerant``: where a folder cannot be read, watch what comes before it rather than nothing."""
        self._root, self._tolerant, self._loop = root, tolerant, asyncio.get_running_loop()
        self._stop, self._begun = threading.Event(), self._loop.create_future()
        self._changes: set[tuple[int, str]] = set()
        self._failure: BaseException | None = None
        self._lock, self._news = threading.Lock(), asyncio.Event()
        self._thread = threading.Thread(target=self._watch, name="watch-events", daemon=True)

    async def __aenter__(self) -> Self:
        """Return once every folder is watched. Raises OSError where the system refuses, WatchLostError."""
        self._thread.start()
        try:
            await asyncio.shield(self._begun)
        except BaseException:
            self._stop.set()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the thread; it is over within a step."""
        self._stop.set()
        await asyncio.to_thread(self._thread.join)

    async def next(self) -> set[tuple[Change, str]]:
        """Wait for changes: (what, absolute path). Raises WatchLostError."""
        await self._news.wait()
        with self._lock:
            changes, self._changes = self._changes, set()
            self._news.clear()
        if self._failure is not None:
            raise WatchLostError(str(self._failure)) from self._failure
        if len(changes) > CHANGES_MAX:
            raise WatchLostError(f"{len(changes)} changes at once: some may be lost")
        return {(Change(change), path) for change, path in changes}

    # -- the thread --------------------------------------------------------------------------------

    def _watch(self) -> None:
        try:
            with RustNotify([self._root], False, False, 0, True, self._tolerant) as notify:  # noqa: FBT003 - no keywords
                self._tell(self._started)
                while not self._stop.is_set():
                    found = notify.watch(STEP_MS, STEP_MS, POLL_MS, self._stop)
                    if isinstance(found, set):
                        self._take(found)
        except BaseException as error:  # noqa: BLE001 - whatever it is, events are lost; the loop decides
            self._failure = error
            self._tell(self._failed)

    def _take(self, found: set[tuple[int, str]]) -> None:
        with self._lock:
            self._changes |= found
        self._tell(self._news.set)

    def _tell(self, what: Callable[[], object]) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(what)

    def _started(self) -> None:
        if not self._begun.done():
            self._begun.set_result(None)

    def _failed(self) -> None:
        if not self._begun.done():
            failure = self._failure
            self._begun.set_exception(
                failure if isinstance(failure, OSError) else WatchLostError(str(failure))
            )
        self._news.set()

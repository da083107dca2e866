"""Listens to one root: watches its folders, hands events to the hints, begins again when it breaks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import structlog

from sidecar.core.clock import Clock

from .event_handler import EventHandler
from .inotify import Inotify, WatchLostError

REBUILD_SECONDS = (0.1, 30.0)
STEADY_SECONDS = 10.0
DEAF_SECONDS = 1.0  # a watcher that is away for longer than this is made up for by listings
UNHEARD = "inotify cannot watch its folders ({error}): they are listed every few seconds instead"

log = structlog.get_logger()


class Listener:
    """``is_deaf`` while nothing is heard; ``trouble`` says why in a sentence."""

    def __init__(
        self, root: str, *, handler: EventHandler, clock: Clock, list_again: Callable[[], None]
    ) -> None:
        """``list_again`` is called when something may have been missed."""
        self._root, self._handler, self._clock, self._list_again = root, handler, clock, list_again
        self._notifier: Inotify | None = None
        self.is_deaf = False
        self.trouble: str | None = None

    async def run(self) -> None:
        """Listen, for ever."""
        pause = REBUILD_SECONDS[0]
        self.is_deaf, self.trouble = False, None
        while True:
            began = self._clock.monotonic()
            self._handler.begin_anew()
            try:
                await self._listen()
            except (OSError, WatchLostError) as error:
                self._lost(error, pause)
            lasted = self._clock.monotonic() - began
            pause = REBUILD_SECONDS[0] if lasted > STEADY_SECONDS else min(2 * pause, REBUILD_SECONDS[1])
            await asyncio.sleep(pause)

    def is_watched(self, folder: str, inode: int) -> bool:
        """Tell whether a folder needs no further watching."""
        return self._notifier is None or self._notifier.watches(folder, inode)

    def watch_folders(self, folders: Mapping[str, int]) -> None:
        """Watch some folders more: inodes by path."""
        if self._notifier is not None:
            self._notifier.watch_folders(folders)

    async def _listen(self) -> None:
        async with Inotify(
            self._root, clock=self._clock, watch_initial=self._handler.look_at_watched
        ) as notifier:
            self._notifier, self.is_deaf, self.trouble = notifier, False, None
            self._list_again()  # after the watches are in place, or something falls between
            try:
                while True:
                    await self._handler.handle(await notifier.next())
            finally:
                self._notifier = None

    def _lost(self, error: Exception, pause: float) -> None:
        log.warning("watcher_rebuilt", root=self._root, error=str(error), pause_seconds=pause)
        if pause > DEAF_SECONDS or isinstance(error, OSError):
            self.is_deaf, self.trouble = True, UNHEARD.format(error=str(error).rstrip("."))
        self._list_again()

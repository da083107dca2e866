"""Uses watchfiles as a hint: what inotify tells of a tree, and a word when it can no longer.

It is never the truth. It loses events without a word when its queue is full, and breaks at a name that is
not UTF-8. Whoever uses it walks new folders itself, and lists everything from time to time and after every
loss.

``RustNotify`` runs in a thread of ours: ``awatch`` walks the tree on the event loop, and does not say when
it has begun to watch. Each folder is named to it, and it never recurses. By itself it follows symbolic links
(thirty folders with two links each keep it walking for days), stops at a folder that it may not read, breaks
at one whose name is not UTF-8, and says nothing when inotify's watches run out. New folders get a second
watcher; now and then one over the whole tree takes the place of both.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Self

import structlog
from watchfiles import Change

from sidecar.core.clock import Clock

from .nets import Net
from .tree import survey

CHANGES_MAX = 8_192  # of one batch: half of inotify's queue, beyond which events are lost silently
YOUNG_MAX = 256  # folders made since the tree was last named; each new one costs a name for all of them
RENEWAL_FACTOR, COVER_FACTOR = 20, 20  # naming the whole tree, or the young ones, takes so little of the time
LULL_SECONDS = 10.0

log = structlog.get_logger()


class WatchLostError(Exception):
    """The watcher broke or may have lost events: build a new one and list everything."""


class Notifier:
    """Watches one tree by inotify.

    Two nets: of the folders that there were when it was last cast anew, and of those made since, for none
    can be told of one folder more. watchfiles' ``awatch`` is not used because it walks the tree on the
    event loop when it begins, and does not say when it has begun.
    """

    def __init__(self, root: str, *, clock: Clock, covered: Callable[[Iterable[str]], None]) -> None:
        """``root`` is absolute; ``covered`` is told the paths below it of folders that are watched now."""
        self._root, self._clock, self._loop = root, clock, asyncio.get_running_loop()
        self._covered = covered
        self._watched: dict[str, int] = {}  # inode of each folder, by its path below the root
        self._young: dict[str, int] = {}
        self._wanted: dict[str, int] = {}
        self._called = asyncio.Event()
        self._nets: list[Net] = []
        self._renewal_due = 0.0
        self._changes: set[tuple[int, str]] = set()
        self._failure: BaseException | None = None
        self._lock, self._news = threading.Lock(), asyncio.Event()

    async def __aenter__(self) -> Self:
        """Return once every folder is watched. Raises OSError where the system refuses, WatchLostError."""
        try:
            await self._renew()
        except RuntimeError as error:
            raise WatchLostError(str(error)) from error
        self._keeper = asyncio.create_task(self._keep_covered())
        self._keeper.add_done_callback(self._keeper_ended)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the threads; they are over within a step."""
        self._keeper.cancel()
        for net in self._nets:
            net.end()
        await asyncio.wait([self._keeper])
        for net in self._nets:
            await asyncio.to_thread(net.join)

    def watches(self, folder: str, inode: int) -> bool:
        """Tell whether a folder, "" is the root, is watched."""
        return self._watched.get(folder) == inode

    def cover(self, folders: Mapping[str, int]) -> None:
        """Watch some folders more, soon: inodes by path below the root. What fails is raised by ``next``."""
        if folders:
            self._wanted.update(folders)
            self._called.set()

    async def next(self) -> set[tuple[Change, str]]:
        """Wait for changes: (what, absolute path). Raises OSError, WatchLostError."""
        await self._news.wait()
        with self._lock:
            changes, self._changes = self._changes, set()
            self._news.clear()
        if isinstance(self._failure, RuntimeError):  # watchfiles' own
            raise WatchLostError(str(self._failure)) from self._failure
        if self._failure is not None:
            raise self._failure
        if len(changes) > CHANGES_MAX:
            raise WatchLostError(f"{len(changes)} changes at once: some may be lost")
        return {(Change(change), path) for change, path in changes}

    # -- nets ----------------------------------------------------------------------------------------

    async def _keep_covered(self) -> None:
        """Cover what is wanted; once there is nothing for a while, use one net again: two cost more."""
        while True:
            try:
                async with asyncio.timeout(self._seconds_until_renewal()):
                    await self._called.wait()
            except TimeoutError:
                await self._try_to_renew()
                continue
            self._called.clear()
            began = self._clock.monotonic()
            await self._cover()
            await asyncio.sleep(COVER_FACTOR * (self._clock.monotonic() - began))

    def _seconds_until_renewal(self) -> float | None:
        if not self._young:
            return None
        return max(LULL_SECONDS, self._renewal_due - self._clock.monotonic())

    async def _cover(self) -> None:
        wanted, self._wanted = self._wanted, {}
        young = {**self._young, **wanted}
        is_crowd = len(young) > YOUNG_MAX and self._clock.monotonic() >= self._renewal_due
        if not (is_crowd and await self._try_to_renew()):
            net = await self._cast(young)
            self._young = young
            self._watched.update(wanted)
            self._replace([*self._nets[:1], net])
        self._covered(wanted)

    async def _try_to_renew(self) -> bool:
        """Cast a new net. That takes twice the watches for a moment, and waits until there are so many."""
        try:
            await self._renew()
        except (OSError, RuntimeError) as error:
            log.info("renewal_put_off", root=self._root, error=str(error))
            return False
        return True

    async def _renew(self) -> None:
        """Cast one net over the tree as it is now."""
        began = self._clock.monotonic()
        try:
            folders = await asyncio.to_thread(survey, self._root)
            net = await self._cast(folders)
        finally:
            now = self._clock.monotonic()
            self._renewal_due = now + RENEWAL_FACTOR * (now - began)
        self._watched, self._young = folders, {}
        self._replace([net])

    async def _cast(self, folders: Iterable[str]) -> Net:
        paths = [self._root, *(os.path.join(self._root, folder) for folder in folders if folder)]  # noqa: PTH118 - text
        return await asyncio.to_thread(
            Net, paths, take=self._take, fail=lambda error: self._tell(self._fail, error)
        )

    def _replace(self, nets: list[Net]) -> None:
        for net in nets:
            if net not in self._nets:
                net.start()
        for net in self._nets:
            if net not in nets:
                net.retire()
        self._nets = nets

    # -- what the nets' threads call -----------------------------------------------------------------

    def _take(self, found: set[tuple[int, str]]) -> None:
        with self._lock:
            self._changes |= found
        self._tell(self._news.set)

    def _tell(self, what: Callable[..., object], *args: object) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(what, *args)

    def _keeper_ended(self, keeper: asyncio.Task[None]) -> None:
        if not keeper.cancelled() and (failure := keeper.exception()) is not None:
            self._fail(failure)

    def _fail(self, failure: BaseException) -> None:
        self._failure = self._failure or failure
        self._news.set()

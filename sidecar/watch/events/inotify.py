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
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Self

import structlog
from watchfiles import Change

from sidecar.core.clock import Clock

from .directories import folder_inodes, without
from .inotify_thread import InotifyThread

CHANGES_MAX = 8_192  # of one batch: half of inotify's queue, beyond which events are lost silently
NEW_FOLDERS_MAX = 256  # folders made since the tree was last named; each new one costs a name for all of them
RENEWAL_FACTOR, COVER_FACTOR = 20, 20  # naming the whole tree, or the young ones, takes so little of the time
QUIET_SECONDS = 10.0

log = structlog.get_logger()


class WatchLostError(Exception):
    """The watcher broke or may have lost events: build a new one and list everything."""


class Inotify:
    """Watches one tree by inotify.

    Two nets: of the folders that there were when it was last cast anew, and of those made since, for none
    can be told of one folder more. watchfiles' ``awatch`` is not used because it walks the tree on the
    event loop when it begins, and does not say when it has begun.
    """

    def __init__(self, root: str, *, clock: Clock, watch_initial: Callable[[Iterable[str]], None]) -> None:
        """``root`` is absolute.

        ``watch_initial`` is told the paths below it of folders that are watched now.
        """
        self._root, self._clock, self._loop = root, clock, asyncio.get_running_loop()
        self._watch_initial = watch_initial
        self._watched: dict[str, int] = {}  # inode of each folder, by its path below the root
        self._new_folders: dict[str, int] = {}
        self._wanted: dict[str, int] = {}
        self._deleted: set[str] | None = None  # heard of while a net is cast, below the root
        self._called = asyncio.Event()
        self._watchers: list[InotifyThread] = []
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
        self._keeper = asyncio.create_task(self._watch_wanted())
        self._keeper.add_done_callback(self._task_ended)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the threads; they are over within a step."""
        self._keeper.cancel()
        for watcher in self._watchers:
            watcher.end()
        await asyncio.wait([self._keeper])
        for watcher in self._watchers:
            await asyncio.to_thread(watcher.join)

    def watches(self, folder: str, inode: int) -> bool:
        """Tell whether a folder, "" is the root, is watched."""
        return self._watched.get(folder) == inode

    def watch_folders(self, folders: Mapping[str, int]) -> None:
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
        named = {(Change(change), path) for change, path in changes}
        self._unwatch({path.removeprefix(f"{self._root}/") for how, path in named if how is Change.deleted})
        return named

    def _unwatch(self, deleted: set[str]) -> None:
        """Take in what was deleted: a folder that is made anew may get the inode, and is not watched."""
        if self._deleted is not None:
            self._deleted |= deleted
        if not deleted.isdisjoint(self._watched):
            self._watched = without(self._watched, deleted)

    # -- nets ----------------------------------------------------------------------------------------

    async def _watch_wanted(self) -> None:
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
            await self._watch_folders()
            await asyncio.sleep(COVER_FACTOR * (self._clock.monotonic() - began))

    def _seconds_until_renewal(self) -> float | None:
        if not self._new_folders:
            return None
        return max(QUIET_SECONDS, self._renewal_due - self._clock.monotonic())

    async def _watch_folders(self) -> None:
        wanted, self._wanted = self._wanted, {}
        young = {**self._new_folders, **wanted}
        is_crowd = len(young) > NEW_FOLDERS_MAX and self._clock.monotonic() >= self._renewal_due
        if not (is_crowd and await self._try_to_renew()):
            with self._noting_deleted() as deleted:
                watcher = await self._start_watcher(young)
            self._new_folders = young
            self._watched.update(without(wanted, deleted))
            self._replace([*self._watchers[:1], watcher])
        self._watch_initial(wanted)

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
            with self._noting_deleted() as deleted:
                folders = await asyncio.to_thread(folder_inodes, self._root)
                watcher = await self._start_watcher(folders)
        finally:
            now = self._clock.monotonic()
            self._renewal_due = now + RENEWAL_FACTOR * (now - began)
        self._watched, self._new_folders = without(folders, deleted), {}
        self._replace([watcher])

    @contextmanager
    def _noting_deleted(self) -> Iterator[set[str]]:
        """Note what is deleted while a net is cast: that has perhaps the folder that was there before."""
        self._deleted = set()
        try:
            yield self._deleted
        finally:
            self._deleted = None

    async def _start_watcher(self, folders: Iterable[str]) -> InotifyThread:
        paths = [self._root, *(os.path.join(self._root, folder) for folder in folders if folder)]  # noqa: PTH118 - text
        return await asyncio.to_thread(
            InotifyThread, paths, take=self._take, fail=lambda error: self._notify(self._fail, error)
        )

    def _replace(self, watchers: list[InotifyThread]) -> None:
        for watcher in watchers:
            if watcher not in self._watchers:
                watcher.start()
        for watcher in self._watchers:
            if watcher not in watchers:
                watcher.retire()
        self._watchers = watchers

    # -- what the nets' threads call -----------------------------------------------------------------

    def _take(self, found: set[tuple[int, str]]) -> None:
        with self._lock:
            self._changes |= found
        self._notify(self._news.set)

    def _notify(self, what: Callable[..., object], *args: object) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(what, *args)

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (failure := task.exception()) is not None:
            self._fail(failure)

    def _fail(self, failure: BaseException) -> None:
        self._failure = self._failure or failure
        self._news.set()

"""Acts on events: looks at the paths they name, walks every new folder, watches it, walks it again."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Collection, Iterable, Mapping

from watchfiles import Change

from sidecar.core.clock import Clock
from sidecar.obstacles import Obstacles
from sidecar.watch.complete.candidates import Candidates
from sidecar.watch.os.filesystem import OWN_PREFIX
from sidecar.watch.os.worker_threads import WorkerThreads
from sidecar.watch.scan.classify import Classifier
from sidecar.watch.scan.listing import Listing
from sidecar.watch.scan.root_scan import Scanner

from .folder_retry import FolderRetry
from .look import look_at
from .recent_listings import RecentListings

AGAIN_SECONDS = 0.3  # what is being written is whole then


class EventHandler:
    """Acts on the events of one root."""

    def __init__(
        self,
        *,
        root: str,
        classifier: Classifier,
        candidates: Candidates,
        threads: WorkerThreads,
        scanner: Scanner,
        unfinished: set[str],
        watch_folders: Callable[[Mapping[str, int]], None],
        obstacles: Obstacles,
        clock: Clock,
    ) -> None:
        """``unfinished`` is ``Ingest``'s: paths that it wants looked at again.

        ``watch_folders`` has folders watched, soon; then they have to be looked at once more:
        ``look_at_watched``.
        """
        self._root, self._classifier, self._candidates = root, classifier, candidates
        self._threads, self._scanner, self._unfinished, self._watch_folders = (
            threads,
            scanner,
            unfinished,
            watch_folders,
        )
        self._recent = RecentListings(clock)
        self._again = set[str]()
        self._later = asyncio.Event()
        self._watched, self._are_watched = set[str](), asyncio.Event()
        self.retry = FolderRetry(root, self._look_at, obstacles)

    async def handle(self, changes: Iterable[tuple[Change, str]]) -> None:
        """Look at what changed; markers that are being written also a little later."""
        below = {(change, self._below(path)) for change, path in changes}
        self._recent.forget({path for change, path in below if change is Change.deleted})
        await self._look_at({path for change, path in below if self._is_news(change, path)}, are_new=True)

    def begin_anew(self) -> None:
        """Believe nothing of what events told before: some may be lost."""
        self._recent.clear()

    async def follow_up(self) -> None:
        """Look once more at what ``handle`` put off, for ever; a task of its own."""
        while True:
            await self._later.wait()
            await asyncio.sleep(AGAIN_SECONDS)
            self._later.clear()
            paths, self._again = self._again, set()
            await self._look_at(paths)

    async def follow_watches(self) -> None:
        """Look once more at folders that are watched now, for ever; a task of its own."""
        while True:
            await self._are_watched.wait()
            self._are_watched.clear()
            folders, self._watched = self._watched, set()
            await self._look_at(folders)

    def look_at_watched(self, folders: Iterable[str]) -> None:
        """Look at some folders at once: they were perhaps being filled before they were watched."""
        self._watched.update(folders)
        self._are_watched.set()

    def _below(self, path: str) -> str:
        return os.path.relpath(path, self._root)

    def _is_news(self, change: Change, path: str) -> bool:
        """Tell whether something is to be found out at a path below the root."""
        if path == "." or path.rpartition("/")[2].startswith(OWN_PREFIX):
            return False
        is_candidate = self._candidates.touch(self._root, path)
        return change is not Change.deleted and not (is_candidate and change is Change.modified)

    async def _look_at(self, paths: Collection[str], *, are_new: bool = False) -> Collection[str]:
        """Return the folders that could not be read."""
        if not paths:
            return ()
        losses = self._recent.losses
        seen = await self._threads.do(lambda: look_at(self._classifier, self._recent, paths, are_new=are_new))
        await self._scanner.take(seen.batch)
        self._candidates.see_again(self._root, seen.again)
        unwatched = {
            one.folder: one.inode for one in seen.listings if self._is_unwatched(one, is_new=are_new)
        }
        unread = {one.folder: one.unread for one in seen.listings if one.unread is not None}
        self._recent.keep(seen.listings, losses=losses)
        for folder in seen.large:
            walked = await self._scanner.walk(folder, is_new=are_new)
            unwatched |= walked.unwatched
            unread |= walked.unread
        self._watch_folders(unwatched)
        self.retry.add(unread)
        self.look_again_later(self._unfinished)
        self._unfinished.clear()
        return unread.keys()

    def _is_unwatched(self, listing: Listing, *, is_new: bool) -> bool:
        """Tell whether nobody has asked for its watch. What had a new one's name may have been watched."""
        folder, inode = listing.folder, listing.inode
        if not listing.whole or self._recent.has(folder, inode):
            return False
        return is_new or not self._scanner.is_watched(folder, inode)

    def look_again_later(self, paths: Iterable[str]) -> None:
        """Look at some paths a little later."""
        self._again.update(paths)
        if self._again:
            self._later.set()

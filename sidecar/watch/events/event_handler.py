"""Acts on events: looks at the paths they name, walks every new folder, watches it, walks it again."""

from __future__ import annotations

import asyncio
import functools
import os
import stat
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field

from watchfiles import Change

from sidecar.files import identity_of
from sidecar.homes import home_of
from sidecar.obstacles import Obstacles
from sidecar.watch.complete.candidates import Candidates
from sidecar.watch.os.filesystem import OWN_PREFIX
from sidecar.watch.os.worker_threads import WorkerThreads
from sidecar.watch.scan.classify import Classifier, ListingBatch, classify_file, classify_special
from sidecar.watch.scan.listing import lstat_below, odd_of
from sidecar.watch.scan.root_scan import Scanner

from .folder_retry import FolderRetry

AGAIN_SECONDS = 0.3  # what is being written is whole then


@dataclass(slots=True, kw_only=True)
class _Classified:
    """What a look at paths found."""

    batch: ListingBatch = field(default_factory=ListingBatch)
    folders: list[str] = field(default_factory=list)


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
        self._again = set[str]()
        self._later = asyncio.Event()
        self._watched, self._are_watched = set[str](), asyncio.Event()
        self.retry = FolderRetry(root, self._look_at, obstacles)

    async def handle(self, changes: Iterable[tuple[Change, str]]) -> None:
        """Look at what changed; markers that are being written also a little later."""
        paths = {below for change, path in changes if (below := self._path_of(change, path)) is not None}
        await self._look_at(paths, are_new=True)

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

    def _path_of(self, change: Change, path: str) -> str | None:
        """Return the path below the root, or None where nothing is to be found out at it."""
        below = os.path.relpath(path, self._root)
        if below == "." or below.rpartition("/")[2].startswith(OWN_PREFIX):
            return None
        is_candidate = self._candidates.touch(self._root, below)
        if change is Change.deleted or (is_candidate and change is Change.modified):
            return None
        return below

    async def _look_at(self, paths: Collection[str], *, are_new: bool = False) -> Collection[str]:
        """Return the folders that could not be read."""
        if not paths:
            return ()
        seen = await self._threads.do(lambda: self._classify(paths))
        await self._scanner.take(seen.batch)
        unwatched, unread = dict[str, int](), dict[str, OSError]()
        for folder in _topmost(seen.folders):
            walked = await self._scanner.walk(folder, is_new=are_new)
            unwatched |= walked.unwatched
            unread |= walked.unread
        self._watch_folders(unwatched)
        self.retry.add(unread)
        self.look_again_later(self._unfinished)
        self._unfinished.clear()
        return unread.keys()

    def look_again_later(self, paths: Iterable[str]) -> None:
        """Look at some paths a little later."""
        self._again.update(paths)
        if self._again:
            self._later.set()

    def _classify(self, paths: Collection[str]) -> _Classified:
        seen, home = _Classified(), functools.cache(functools.partial(home_of, self._root))
        for path in paths:
            found = lstat_below(self._root, path)
            if found is None:
                continue
            if (special := odd_of(path, found)) is not None:
                classify_special(self._classifier, special, seen.batch)
            elif stat.S_ISDIR(found.st_mode):
                seen.folders.append(path)
            else:
                at = home(path.rpartition("/")[0])
                identity = identity_of(found)
                classify_file(self._classifier, path, identity, seen.batch, home=at, may_be_journaled=True)
        return seen


def _topmost(folders: Iterable[str]) -> list[str]:
    """Leave out what a walk of another one covers."""
    kept = list[str]()
    for folder in sorted(folders, key=lambda folder: folder.split("/")):
        if not kept or not folder.startswith(f"{kept[-1]}/"):
            kept.append(folder)
    return kept

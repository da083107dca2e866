"""Acts on events: looks at the paths they name, walks every new folder, watches it, walks it again."""

from __future__ import annotations

import asyncio
import functools
import os
import stat
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field

from watchfiles import Change

from sidecar.homes import home_of
from sidecar.obstacles import Obstacles

from .candidates import Candidates
from .hands import Hands
from .listing import look_at, odd_of
from .scan import Scanner
from .sorting import Haul, Sorter, sort_file, sort_odd
from .unread import Unread
from .volume import OWN_PREFIX

AGAIN_SECONDS = 0.3  # a new folder was perhaps being filled before it was watched


@dataclass(slots=True, kw_only=True)
class _Seen:
    """What a look at paths found."""

    haul: Haul = field(default_factory=Haul)
    folders: list[str] = field(default_factory=list)


class Hints:
    """Acts on the events of one root."""

    def __init__(
        self,
        *,
        root: str,
        sorter: Sorter,
        candidates: Candidates,
        hands: Hands,
        scanner: Scanner,
        unfinished: set[str],
        cover: Callable[[Mapping[str, int]], None],
        obstacles: Obstacles,
    ) -> None:
        """``unfinished`` is the intake's: paths that it wants looked at again.

        ``cover`` has folders watched, soon; then they have to be looked at once more: ``put_off``.
        """
        self._root, self._sorter, self._candidates = root, sorter, candidates
        self._hands, self._scanner, self._unfinished, self._cover = hands, scanner, unfinished, cover
        self._again = set[str]()
        self._later = asyncio.Event()
        self.unread = Unread(root, self._look, obstacles)

    async def handle(self, changes: Iterable[tuple[Change, str]]) -> None:
        """Look at what changed; markers that are being written also a little later."""
        paths = {below for change, path in changes if (below := self._to_look_at(change, path)) is not None}
        await self._look(paths, are_new=True)

    async def follow_up(self) -> None:
        """Look once more at what ``handle`` put off, for ever; a task of its own."""
        while True:
            await self._later.wait()
            await asyncio.sleep(AGAIN_SECONDS)
            self._later.clear()
            paths, self._again = self._again, set()
            await self._look(paths)

    def _to_look_at(self, change: Change, path: str) -> str | None:
        """Return the path below the root, or None where nothing is to be found out at it."""
        below = os.path.relpath(path, self._root)
        if below == "." or below.rpartition("/")[2].startswith(OWN_PREFIX):
            return None
        is_candidate = self._candidates.touch(self._root, below)
        if change is Change.deleted or (is_candidate and change is Change.modified):
            return None
        return below

    async def _look(self, paths: Collection[str], *, are_new: bool = False) -> Collection[str]:
        """Return the folders that could not be read."""
        if not paths:
            return ()
        seen = await self._hands.do(lambda: self._sort(paths))
        await self._scanner.take(seen.haul)
        unwatched, unread = dict[str, int](), dict[str, OSError]()
        for folder in _topmost(seen.folders):
            walked = await self._scanner.walk(folder, is_new=are_new)
            unwatched |= walked.unwatched
            unread |= walked.unread
        self._cover(unwatched)
        self.unread.add(unread)
        self.put_off(self._unfinished)
        self._unfinished.clear()
        return unread.keys()

    def put_off(self, paths: Iterable[str]) -> None:
        """Look at some paths a little later."""
        self._again.update(paths)
        if self._again:
            self._later.set()

    def _sort(self, paths: Collection[str]) -> _Seen:
        seen, home = _Seen(), functools.cache(functools.partial(home_of, self._root))
        for path in paths:
            found = look_at(self._root, path)
            if found is None:
                continue
            if (odd := odd_of(path, found)) is not None:
                sort_odd(self._sorter, odd, seen.haul)
            elif stat.S_ISDIR(found.st_mode):
                seen.folders.append(path)
            else:
                at = home(path.rpartition("/")[0])
                sort_file(self._sorter, path, found, seen.haul, home=at, may_be_journaled=True)
        return seen


def _topmost(folders: Iterable[str]) -> list[str]:
    """Leave out what a walk of another one covers."""
    kept = list[str]()
    for folder in sorted(folders, key=lambda folder: folder.split("/")):
        if not kept or not folder.startswith(f"{kept[-1]}/"):
            kept.append(folder)
    return kept

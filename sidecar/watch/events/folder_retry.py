"""Names folders that could not be read, and looks at them again until they can be.

No event tells that a descriptor is free again, and a full listing may be an hour away. So these folders are
looked at soon, and then ever less often, at least every five seconds unless there are many.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping

from sidecar.obstacles import Obstacles
from sidecar.watch.scan.listing import join

PAUSE_SECONDS = (0.3, 5.0)  # the first; the longest, for a few folders
LOOKS_PER_SECOND = 200  # at all folders together that cannot be read


class FolderRetry:
    """The folders of one root that could not be read."""

    def __init__(
        self,
        root: str,
        list_folders: Callable[[Collection[str]], Awaitable[Collection[str]]],
        obstacles: Obstacles,
    ) -> None:
        """``list_folders`` lists folders, and returns those that it could not read."""
        self._root, self._list, self._obstacles = root, list_folders, obstacles
        self._folders, self._fresh = set[str](), asyncio.Event()

    def add(self, folders: Mapping[str, OSError]) -> None:
        """Have some folders looked at again; soon, if one of them could be read until now."""
        if not self._folders.issuperset(folders):
            self._fresh.set()
        self._folders.update(folders)
        for folder, error in folders.items():
            self._obstacles.failed(self._path(folder), error)

    async def look_again(self) -> None:
        """Look until all can be read, for ever; a task of its own."""
        shortest, longest = PAUSE_SECONDS
        pause = shortest
        while True:
            try:
                async with asyncio.timeout(pause if self._folders else None):
                    await self._fresh.wait()
            except TimeoutError:
                pause = max(min(2 * pause, longest), len(self._folders) / LOOKS_PER_SECOND)
            else:
                pause = shortest
                await asyncio.sleep(pause)
                self._fresh.clear()
            folders = frozenset(self._folders)
            read = folders.difference(await self._list(folders))
            self._folders -= read
            for folder in read:
                self._obstacles.over(self._path(folder))

    def _path(self, folder: str) -> str:
        return join(self._root, folder) if folder else self._root

"""Folders that could not be read: they are looked at again, ever less often, until they can be."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection

PAUSE_SECONDS = (0.3, 30.0)  # the first; the longest: the default time between two full listings


class Unread:
    """One root's. No event tells that a descriptor is free again, or that a disk answers."""

    def __init__(self, look: Callable[[Collection[str]], Awaitable[Collection[str]]]) -> None:
        """``look`` lists folders, and returns those that it could not read."""
        self._look = look
        self._folders, self._fresh = set[str](), asyncio.Event()

    def add(self, folders: Collection[str]) -> None:
        """Have some folders looked at again; soon, if one of them could be read until now."""
        if not self._folders.issuperset(folders):
            self._fresh.set()
        self._folders.update(folders)

    async def look_again(self) -> None:
        """Look until all can be read, for ever; a task of its own."""
        shortest, longest = PAUSE_SECONDS
        pause = shortest
        while True:
            try:
                async with asyncio.timeout(pause if self._folders else None):
                    await self._fresh.wait()
            except TimeoutError:
                pause = min(2 * pause, longest)
            else:
                pause = shortest
                await asyncio.sleep(pause)
                self._fresh.clear()
            folders = frozenset(self._folders)
            self._folders -= folders.difference(await self._look(folders))

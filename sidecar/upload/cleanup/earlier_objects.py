"""Lists what earlier journals of this sidecar left in the bucket: folder by folder, each folder once.

Only a new journal asks, for the files of its first scan: those of one scene share their folder of keys, so
that a thousand files cost a few pages and not a thousand listings.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from sidecar.core.ids import tags_in
from sidecar.upload.store import ListedObject, ObjectStore

FOLDERS_MAX = 64  # remembered at once: transfers of one folder come together


class EarlierObjects:
    """Our objects by folder of their keys. Others' are passed over."""

    def __init__(self, *, store: ObjectStore, tag: str) -> None:
        """``tag`` is the sidecar's (core.ids)."""
        self._store, self._tag = store, tag
        self._folders: dict[str, Sequence[ListedObject]] = {}
        self._listing: dict[str, asyncio.Lock] = {}

    async def below(self, beginning: str) -> list[ListedObject]:
        """Return our objects whose key begins so. Raises SidecarError."""
        folder = beginning[: beginning.rfind("/") + 1]
        async with self._listing.setdefault(folder, asyncio.Lock()):
            found = self._folders.get(folder)
            if found is None:
                found = self._folders[folder] = await self._list(folder)
        while len(self._folders) > FOLDERS_MAX:
            oldest = next(iter(self._folders))
            del self._folders[oldest], self._listing[oldest]
        return [one for one in found if one.key.startswith(beginning)]

    async def _list(self, folder: str) -> list[ListedObject]:
        listed = self._store.list_objects(prefix=folder)
        return [one async for one in listed if self._tag in tags_in(one.key)]

"""Remembers for a bounded time which object an asset is, so that an address need not ask Convex each time.

What is kept is where an object lies and its public address: no signed address, which is a secret, has a place
in it. Who may see an asset is not remembered either; it is asked before (``security.py``).

An asset that was replaced or removed leaves the number of its version behind, below which nothing is kept: so
whoever asked Convex before, and answers after, does not bring the old one back.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from sidecar.core.clock import Clock
from sidecar.settings.urls import Urls

from .cached_asset import FLOOR_SECONDS, CachedAsset, UrlCache

ENTRIES_MAX = 10_000


class NoUrlCache:
    """Remembers nothing."""

    async def get(self, asset_id: str) -> None:
        """Know nothing."""

    async def put(self, asset: CachedAsset) -> None:
        """Keep nothing."""

    async def forget(self, asset_id: str, *, before: int) -> None:
        """There is nothing to forget."""

    async def close(self) -> None:
        """There is nothing to close."""


@dataclass(slots=True)
class _Entry:
    asset: CachedAsset | None
    floor: int
    until: float


class MemoryUrlCache:
    """The cache of one process. Of too many entries the longest unused goes."""

    def __init__(self, *, seconds: float, clock: Clock, most: int = ENTRIES_MAX) -> None:
        """``seconds`` is how long an entry lives, ``most`` how many there are."""
        self._seconds, self._clock, self._most = seconds, clock, most
        self._entries: OrderedDict[str, _Entry] = OrderedDict()

    async def get(self, asset_id: str) -> CachedAsset | None:
        """Return what is known of an asset."""
        entry = self._living(asset_id)
        return None if entry is None else entry.asset

    async def put(self, asset: CachedAsset) -> None:
        """Remember an asset, unless a newer version of it was seen."""
        entry = self._living(asset.id)
        if entry is None or entry.floor <= asset.version:
            self._keep(asset.id, asset, floor=asset.version, seconds=self._seconds)

    async def forget(self, asset_id: str, *, before: int) -> None:
        """Forget versions below ``before``, and take none of them in any more."""
        entry = self._living(asset_id)
        if entry is None or entry.floor < before:
            self._keep(asset_id, None, floor=before, seconds=max(self._seconds, FLOOR_SECONDS))

    async def close(self) -> None:
        """Forget all."""
        self._entries.clear()

    def _living(self, asset_id: str) -> _Entry | None:
        entry = self._entries.get(asset_id)
        if entry is None:
            return None
        if entry.until <= self._clock.monotonic():
            del self._entries[asset_id]
            return None
        self._entries.move_to_end(asset_id)
        return entry

    def _keep(self, asset_id: str, asset: CachedAsset | None, *, floor: int, seconds: float) -> None:
        self._entries[asset_id] = _Entry(asset, floor, self._clock.monotonic() + seconds)
        self._entries.move_to_end(asset_id)
        while len(self._entries) > self._most:
            self._entries.popitem(last=False)


class AssetLookup:
    """Finds assets: in the cache, else by asking."""

    def __init__(self, *, cache: UrlCache, ask: Callable[[str], Awaitable[CachedAsset | None]]) -> None:
        """``ask`` asks Convex; None: there is no such asset."""
        self._cache, self._ask = cache, ask

    async def find(self, asset_id: str) -> CachedAsset | None:
        """Return where an asset is; None if there is none. Raises what ``ask`` raises."""
        if (known := await self._cache.get(asset_id)) is not None:
            return known
        return await self.find_current(asset_id)

    async def find_current(self, asset_id: str) -> CachedAsset | None:
        """Ask where an asset is now, whatever was known. Raises what ``ask`` raises."""
        found = await self._ask(asset_id)
        if found is not None:
            await self._cache.put(found)
        return found

    async def replaced(self, asset: CachedAsset) -> None:
        """Note the newest version of an asset, as whoever stored it knows it."""
        await self._cache.forget(asset.id, before=asset.version)
        await self._cache.put(asset)

    async def removed(self, asset_id: str, *, version: int) -> None:
        """Note that an asset is gone, up to this version of it."""
        await self._cache.forget(asset_id, before=version + 1)


def open_url_cache(urls: Urls, *, scope: str, clock: Clock) -> UrlCache:
    """Return the cache of the settings; nothing is connected yet. ``scope`` keeps deployments apart.

    Raises ModuleNotFoundError with a sentence where the extra ``redis`` is not installed.
    """
    if urls.cache == "none":
        return NoUrlCache()
    if urls.cache == "memory":
        return MemoryUrlCache(seconds=urls.cache_for, clock=clock)
    try:
        from .redis_cache import RedisUrlCache  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("redis"):
            raise
        message = "urls.cache names Redis, and redis-py is missing: pip install 'render-sidecar[redis]'"
        raise ModuleNotFoundError(message, name="redis") from None
    return RedisUrlCache(urls, scope=scope, clock=clock)

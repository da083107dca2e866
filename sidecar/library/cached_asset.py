"""What is remembered of an asset, and what every cache of assets promises."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

FLOOR_SECONDS = 120.0  # a version that is too old is known for so long: longer than Convex is waited for


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedAsset:
    """Where an asset's object is. ``public_url`` is stable and never signed."""

    id: str
    bucket: str
    key: str
    version: int
    public_url: str


class UrlCache(Protocol):
    """A cache of assets by id. No method raises for the cache's own failures: it then knows nothing."""

    async def get(self, asset_id: str) -> CachedAsset | None:
        """Return what is known of an asset."""
        ...

    async def put(self, asset: CachedAsset) -> None:
        """Remember an asset, unless a newer version of it was seen."""
        ...

    async def forget(self, asset_id: str, *, before: int) -> None:
        """Forget versions below ``before``, and take none of them in any more."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...

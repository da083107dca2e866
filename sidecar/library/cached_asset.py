"""Where an asset is, as every cache of it remembers."""

from __future__ import annotations

from dataclasses import dataclass

FLOOR_SECONDS = 120.0  # longer than a question to Convex is waited for


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedAsset:
    """Where an asset's object is. ``public_url`` is stable and never signed."""

    id: str
    bucket: str
    key: str
    version: int
    public_url: str

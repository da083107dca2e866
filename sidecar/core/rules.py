"""Plain values that a router is built from: rules, roots and the templates of ids."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .model import AssetType, EntityType

DEFAULT_KEY = "{session_id}/{scene_id}/{asset_type}/{stem}.{transfer}{ext}"
DEFAULT_PRIORITY = (
    AssetType.THUMBNAIL,
    AssetType.SUBTITLE,
    AssetType.MANIFEST,
    AssetType.VIDEO_CHUNK,
    AssetType.SOURCE_CODE,
    AssetType.COMBINED_VIDEO,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingRule:
    """What a path means; None stands for the default. ``priority``: 0 goes first."""

    match: str
    asset_type: AssetType
    entity: EntityType
    role: str | None = None
    name: str = "{name}"
    key: str | None = None
    priority: int | None = None
    content_type: str | None = None
    cache_control: str | None = None
    settle_seconds: float | None = None
    check_structure: bool = True
    heeds_playlists: bool = True
    metadata: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    storage_class: str | None = None
    content_disposition: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """A watched folder: its absolute path, pinned fields, patterns of what is ignored.

    ``scratch`` is ignored, too, but only where no rule takes it.
    """

    path: str
    fields: Mapping[str, str] = field(default_factory=dict)
    ignore: tuple[str, ...] = ()
    scratch: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ids:
    """Templates of session and scene ids, and of keys."""

    session_id: str = "{project}/{session}"
    scene_id: str = "{scene}"
    key: str = DEFAULT_KEY

"""Says what an asset is by the extension of its name, where nobody else does."""

from __future__ import annotations

from sidecar.core import media
from sidecar.core.model import AssetType, EntityType

_KINDS = {
    **dict.fromkeys(("mp4", "webm", "mov", "mkv", "ts", "m4s"), AssetType.VIDEO_CHUNK),
    **dict.fromkeys(("png", "jpg", "jpeg", "webp"), AssetType.THUMBNAIL),
    **dict.fromkeys(("vtt", "srt"), AssetType.SUBTITLE),
    "py": AssetType.SOURCE_CODE,
}
_SESSION_KINDS = {
    **dict.fromkeys(("mp4", "webm"), AssetType.COMBINED_VIDEO),
    **dict.fromkeys(("vtt", "srt"), AssetType.SUBTITLE),
    "json": AssetType.MANIFEST,
}


def kind_of(name: str, entity_type: EntityType) -> AssetType:
    """Return what an asset is by its name's extension. Raises ValueError where that says nothing."""
    kinds = _KINDS if entity_type is EntityType.SCENE else _SESSION_KINDS
    kind = kinds.get(media.extension(name))
    if kind is None:
        raise ValueError(f"{name!r} does not say what it is for a {entity_type}: give asset_type")
    return kind

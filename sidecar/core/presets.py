"""The rules that come after the user's own: ``lesson`` and ``manim``."""

from __future__ import annotations

from .model import AssetType, EntityType
from .rules import RoutingRule

_SCENE, _SESSION = EntityType.SCENE, EntityType.SESSION
_QUALITY_NAME = "{quality}/{name}"  # the same scene in two qualities is two assets

LESSON = (
    RoutingRule(
        match="{project}/{session}/{scene}/video/*.(m3u8|mpd)",
        asset_type=AssetType.VIDEO_CHUNK,
        entity=_SCENE,
        role="main",
    ),
    RoutingRule(
        match="{project}/{session}/{scene}/video/*.(mp4|webm|mov|mkv|ts|m4s)",
        asset_type=AssetType.VIDEO_CHUNK,
        entity=_SCENE,
    ),
    RoutingRule(
        match="{project}/{session}/{scene}/source/*.py", asset_type=AssetType.SOURCE_CODE, entity=_SCENE
    ),
    RoutingRule(
        match="{project}/{session}/{scene}/thumbnails/*.(png|jpg|jpeg|webp)",
        asset_type=AssetType.THUMBNAIL,
        entity=_SCENE,
    ),
    RoutingRule(
        match="{project}/{session}/{scene}/subtitles/*.(vtt|srt)",
        asset_type=AssetType.SUBTITLE,
        entity=_SCENE,
    ),
    RoutingRule(
        match="{project}/{session}/combined/*.(mp4|webm)",
        asset_type=AssetType.COMBINED_VIDEO,
        entity=_SESSION,
    ),
    RoutingRule(
        match="{project}/{session}/combined/*.(vtt|srt)", asset_type=AssetType.SUBTITLE, entity=_SESSION
    ),
    RoutingRule(match="{project}/{session}/manifest.json", asset_type=AssetType.MANIFEST, entity=_SESSION),
)

MANIM = (
    RoutingRule(
        match="**/videos/{module}/{quality}/{scene}.(mp4|mov|webm)",
        asset_type=AssetType.VIDEO_CHUNK,
        entity=_SCENE,
        role="main",
        name=_QUALITY_NAME,
    ),
    RoutingRule(
        match="**/videos/{module}/{quality}/{scene}.srt",
        asset_type=AssetType.SUBTITLE,
        entity=_SCENE,
        name=_QUALITY_NAME,
    ),
    RoutingRule(
        match="**/images/{module}/{scene:*}_ManimCE_*.png",
        asset_type=AssetType.THUMBNAIL,
        entity=_SCENE,
        name=_QUALITY_NAME,
    ),
)
MANIM_PARTIAL = "**/partial_movie_files/**"

PRESETS: dict[str, tuple[RoutingRule, ...]] = {"lesson": LESSON, "manim": MANIM, "none": ()}
IGNORED_FINAL: dict[str, tuple[str, ...]] = {"lesson": (), "manim": (MANIM_PARTIAL,), "none": ()}
# What Manim writes beside its videos and images: never assets. A module may have such a name itself, so that
# its videos come first.
_MANIM_SCRATCH = ("**/(Tex|texts|voiceovers)/**", "**/videos/*/*/sections/**")
SCRATCH: dict[str, tuple[str, ...]] = {"lesson": (), "manim": _MANIM_SCRATCH, "none": ()}

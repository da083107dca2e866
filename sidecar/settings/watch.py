"""Settings of what is noticed: ``watch``, ``rules``, ``entities``."""

from __future__ import annotations

import os
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from sidecar.core import object_tags
from sidecar.core.media import check_content_type
from sidecar.core.model import AssetType, EntityType
from sidecar.core.pattern_syntax import check_field_name
from sidecar.core.patterns import Pattern
from sidecar.core.templates import Template

from .types import PositiveSeconds, Seconds, Section, word


def _pattern(text: str) -> str:
    Pattern(text)
    return text


def _template(text: str) -> str:
    Template(text)
    return text


def _pin(text: str) -> str:
    if not text or "/" in text or text in (".", "..") or not text.isprintable():
        raise ValueError(f"{text!r} cannot be pinned; write one non-empty path segment such as algebra-101")
    return text


def _absolute(text: str) -> str:
    if not text or "\0" in text:
        raise ValueError("is empty; write the folder that the renderer writes into, such as /renders")
    return os.path.abspath(text)  # noqa: PTH100 - Path.absolute() would keep ".."


AbsoluteText = Annotated[str, AfterValidator(_absolute)]
PatternText = Annotated[str, AfterValidator(_pattern)]
TemplateText = Annotated[str, AfterValidator(_template)]
FieldName = Annotated[str, AfterValidator(check_field_name)]
ContentType = Annotated[str, AfterValidator(check_content_type)]
TagKey = Annotated[str, AfterValidator(object_tags.check_key)]
StorageClass = Annotated[
    str, word(r"[A-Z][A-Z0-9_]{0,63}", "write one such as STANDARD_IA or INTELLIGENT_TIERING")
]
HeaderText = Annotated[str, word(r"[\x20-\x7e]{1,256}", "write 1 to 256 printable ASCII characters")]


class Watch(Section):
    """One folder that a renderer writes into."""

    root: AbsoluteText
    """The folder. A relative one is taken from the working directory."""
    fields: dict[FieldName, Annotated[str, AfterValidator(_pin)]] = Field(default_factory=dict)
    """Pinned fields, such as {project: algebra}: a path that names another value is unmatched."""
    events: Literal["auto", "inotify", "scan"] = "auto"
    """How changes are noticed. auto: inotify where it sees all, else a scan every 2s (NFS, SMB, FUSE)."""
    ignore: tuple[PatternText, ...] = ("**/.*", "**/*.tmp", "**/*.part", "**/*~", "**/__pycache__/**")
    """Patterns of files that are never sent and never counted as unmatched."""
    unmatched: Literal["misplaced", "all", "none"] = "misplaced"
    """Which files that no rule takes make `wait` fail. misplaced: those whose extension is in a rule."""
    chunks: Literal["final", "partial"] = "final"
    """With preset manim: ship the final videos, or also the partial movie files."""
    settle: Seconds = 0.25
    """Quiet time that makes a file complete where nothing better proves it; 2s where leases do not work."""
    rescan: PositiveSeconds = 30.0
    """The least wait between full listings; the next one also waits 300 x the CPU time of all roots' last."""


class Rule(Section):
    """What a path means. The first rule that matches wins."""

    match: PatternText
    """Pattern of the path below the root, such as {project}/{session}/{scene}/video/*.mp4."""
    asset_type: AssetType
    """What such a file is to the platform."""
    entity: EntityType
    """What it belongs to: scene or session."""
    role: Literal["main"] | None = None
    """main: the entity's playable video, its thumbnail, its subtitle, before all others."""
    name: TemplateText = "{name}"
    """The asset's name within its entity and type; two files of one name are two versions of one asset."""
    key: TemplateText | None = None
    """Object key for these files instead of s3.key."""
    priority: Annotated[int, Field(ge=0, le=1000)] | None = None
    """Order of upload, 0 first; default: the place of the asset type in upload.priority."""
    content_type: ContentType | None = None
    """Media type instead of the one that the file's extension means."""
    cache_control: HeaderText | None = None
    """Cache-Control instead of the default: immutable for a year under {transfer} keys, else no-cache."""
    settle: Seconds | None = None
    """Quiet time instead of the root's."""
    structure: Literal["on", "off"] = "on"
    """off: do not look into the file to find out whether it is whole, only at leases and quiet time."""
    playlist: Literal["auto", "none"] = "auto"
    """auto: segments (ts, m4s, init.mp4) and what a playlist names are held for it, a segment that none names
    goes once its scene is complete. none: no playlist will come, these files go at once."""
    grow_ahead: Literal["auto", "off"] | None = None
    """Whether these files may be uploaded while they grow; default: upload.grow_ahead."""
    metadata: Annotated[dict[str, TemplateText], Field(max_length=32)] = Field(default_factory=dict)
    """Written to the asset's metadata in Convex; values may use fields, such as {quality}."""
    tags: Annotated[dict[TagKey, TemplateText], Field(max_length=object_tags.TAGS_MAX)] = Field(
        default_factory=dict
    )
    """The objects' S3 tags, at most 10, as for lifecycle rules and bills; values may use fields."""
    storage_class: StorageClass | None = None
    """The objects' storage class, such as STANDARD_IA; default: the bucket's."""
    content_disposition: HeaderText | None = None
    """attachment | inline, with the file's name; or a whole header. Default: none."""


class Entities(Section):
    """How paths name sessions and scenes, and when a scene is complete."""

    session_id: TemplateText = "{project}/{session}"
    """The session's id; {session} alone where that is a global id already."""
    scene_id: TemplateText = "{scene}"
    """The scene's id, unique within its session."""
    complete_after: PositiveSeconds = 60.0
    """A scene without a marker is complete after this quiet time."""
    abandon_after: PositiveSeconds = 900.0
    """An incomplete file without a writer is given up after this time; it is seen again when it changes."""

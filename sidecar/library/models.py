"""The platform's models, as Convex keeps them; times are milliseconds since 1970, sizes bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self

from sidecar.core.model import AssetType, EntityType


class UrlType(StrEnum):
    """How an asset's address is given out."""

    PUBLIC = "public"  # the object's own address, unsigned: the bucket must admit readers
    CDN = "cdn"  # below s3.public_base_url, unsigned
    PRESIGNED = "presigned"  # the object's own, signed for a while with our credentials
    CLOUDFRONT = "cloudfront"  # the CDN's, signed for a while with urls.cloudfront_private_key


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Asset:
    """Where an object is and what it is. ``s3_url`` is stable and never signed; ``etag`` is no checksum."""

    s3_key: str
    s3_url: str
    bucket: str
    content_type: str
    size: int
    checksum: str
    etag: str
    uploaded_at: int
    s3_version_id: str | None = None

    @classmethod
    def from_convex(cls, document: Mapping[str, Any]) -> Self:
        """Return what a document of Convex says of an object. Raises KeyError for one that is none."""
        return cls(
            s3_key=document["s3Key"],
            s3_url=document["s3Url"],
            bucket=document["bucket"],
            content_type=document["contentType"],
            size=int(document["size"]),
            checksum=document["checksum"],
            etag=document["etag"],
            uploaded_at=int(document["uploadedAt"]),
            s3_version_id=document.get("s3VersionId"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetReference:
    """One asset: a place (its slot, whose digest is ``id``) and what is there now.

    ``version`` counts the contents of the place and is Convex's: None until it was told. ``checksum`` is
    ``crc64nvme:<base64>`` of the bytes that were read, or ``unverified:<ETag>`` of what nobody has read.
    ``created_at`` is when S3 had it, None before.
    """

    id: str
    session_id: str
    project_id: str
    entity_id: str
    entity_type: EntityType
    asset_type: AssetType
    name: str
    index: int | None
    role: str | None
    s3_key: str
    s3_url: str
    bucket: str
    content_type: str
    size: int
    checksum: str
    version: int | None
    created_at: int | None
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestEntry:
    """An object below a prefix. ``checksum`` is None where S3 keeps none of ours; ``modified_at`` is S3's.

    ``asset`` is the row of Convex that names this very object, None where none does.
    """

    key: str
    size: int
    checksum: str | None
    content_type: str | None
    modified_at: int
    s3_version_id: str | None
    asset: AssetReference | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A scene as Convex shows it."""

    session_id: str
    project_id: str
    scene_id: str
    assets_status: str
    asset_version: int
    video_asset: S3Asset | None = None
    source_code_asset: S3Asset | None = None
    thumbnail_asset: S3Asset | None = None
    subtitle_asset: S3Asset | None = None
    assets_error_message: str | None = None

    @classmethod
    def from_convex(cls, document: Mapping[str, Any]) -> Self:
        """Return a scene as `scenes:get` or `scenes:bySession` shows it. Raises KeyError for what is none."""
        return cls(
            session_id=document["sessionId"],
            project_id=document["projectId"],
            scene_id=document["sceneId"],
            assets_status=document["assetsStatus"],
            asset_version=int(document["assetVersion"]),
            video_asset=_asset(document, "videoAsset"),
            source_code_asset=_asset(document, "sourceCodeAsset"),
            thumbnail_asset=_asset(document, "thumbnailAsset"),
            subtitle_asset=_asset(document, "subtitleAsset"),
            assets_error_message=document.get("assetsErrorMessage"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoSession:
    """A session as Convex shows it. ``total_asset_size`` is bytes."""

    session_id: str
    project_id: str
    assets_status: str
    total_asset_size: int
    asset_count: int
    scene_count: int
    ready_count: int
    combined_video_asset: S3Asset | None = None
    combined_subtitle_asset: S3Asset | None = None
    manifest_asset: S3Asset | None = None

    @classmethod
    def from_convex(cls, document: Mapping[str, Any]) -> Self:
        """Return a session as `sessions:get` shows it. Raises KeyError for what is none."""
        return cls(
            session_id=document["sessionId"],
            project_id=document["projectId"],
            assets_status=document["assetsStatus"],
            total_asset_size=int(document["totalAssetSize"]),
            asset_count=int(document["assetCount"]),
            scene_count=int(document["sceneCount"]),
            ready_count=int(document["readyCount"]),
            combined_video_asset=_asset(document, "combinedVideoAsset"),
            combined_subtitle_asset=_asset(document, "combinedSubtitleAsset"),
            manifest_asset=_asset(document, "manifestAsset"),
        )


def _asset(document: Mapping[str, Any], name: str) -> S3Asset | None:
    return S3Asset.from_convex(document[name]) if document.get(name) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetSyncRequest:
    """An object that is in S3 already and is to be told to Convex."""

    entity_id: str
    entity_type: EntityType
    asset_type: AssetType
    s3_key: str
    session_id: str | None = None
    name: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchSyncResponse:
    """What became of a batch: references of what Convex has, and a sentence for each that failed, by key."""

    synced: Sequence[AssetReference]
    failed: Mapping[str, str]

    @property
    def success(self) -> bool:
        """Whether all of it was told."""
        return not self.failed

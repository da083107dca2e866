"""What a platform's own backend asks Convex, by its role: assets by id, of a project; removals; who may read.

The same connection, credentials and failures as a sidecar's; ``roleOf`` in sidecarAccess.ts says who is one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from sidecar.core.model import EntityType, Slot
from sidecar.core.ops import AssetVersion

from . import decode
from .convex import ConvexStore, wire_slot
from .errors import malformed

IDS_MAX = 100
EntityName = tuple[str, EntityType, str]  # its session, what it is, its id


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownAsset:
    """An asset as Convex shows it to a backend."""

    id: str
    slot: Slot
    project_id: str
    index: int | None
    role: str | None
    key: str
    url: str
    bucket: str
    content_type: str
    size_bytes: int
    checksum: str
    etag: str
    transfer_id: str
    version: int
    created_ms: int
    uploaded_ms: int
    version_id: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownObject:
    """Which assets show an object; ``others``: so do some that are not ours, or very many."""

    assets: tuple[ShownAsset, ...] = ()
    others: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftObject:
    """An object of a sidecar that is gone; of one without a version nobody ever told."""

    project_id: str
    version: AssetVersion | None


class RemovalOutcome(StrEnum):
    """What became of a removal."""

    REMOVED = "removed"
    ABSENT = "absent"
    CHANGED = "changed"  # a newer version came meanwhile, and stays


@dataclass(frozen=True, slots=True, kw_only=True)
class OlderVersion:
    """A version of an asset that was removed, and its object."""

    version: int
    transfer_id: str
    bucket: str
    key: str


class BackendStore(ConvexStore):
    """A backend's functions over one deployment. Every method raises SidecarError; none retries."""

    async def assets_by_id(self, ids: Sequence[str]) -> Sequence[ShownAsset | None]:
        """``sidecar:assetsById``: at most 100, in order; None for what is not there, or not for us."""
        value = await self._call("query", "assetsById", {"ids": list(ids)})
        if not isinstance(value, list) or len(value) != len(ids):
            raise malformed("not one asset per id", operation="assetsById", target="ids")
        return [None if item is None else _asset(item) for item in value]

    async def assets_by_key(self, bucket: str, keys: Sequence[str]) -> Sequence[ShownObject]:
        """``sidecar:assetsByKey``: which assets show each of at most 100 objects, in order."""
        value = await self._call("query", "assetsByKey", {"bucket": bucket, "keys": list(keys)})
        if not isinstance(value, list) or len(value) != len(keys):
            raise malformed("not one answer per key", operation="assetsByKey", target="keys")
        return [_shown(item) for item in value]

    async def left_objects(
        self, bucket: str, keys: Sequence[str], project_ids: Sequence[str]
    ) -> Sequence[LeftObject | None]:
        """``sidecar:leftObjects``: which of at most 100 were left by sidecars that are gone; None stays."""
        arguments = {"bucket": bucket, "keys": list(keys), "projectIds": list(project_ids)}
        value = await self._call("query", "leftObjects", arguments)
        if not isinstance(value, list) or len(value) != len(keys):
            raise malformed("not one answer per key", operation="leftObjects", target="keys")
        return [None if item is None else _left(item) for item in value]

    async def list_by_project(
        self, project_id: str, *, cursor: str | None
    ) -> tuple[Sequence[ShownAsset], str | None]:
        """``sidecar:listByProject``: the next assets, and where the page after them begins."""
        value = await self._call("query", "listByProject", {"projectId": project_id, "cursor": cursor})
        try:
            return [_asset(item) for item in value["assets"]], value["cursor"]
        except (KeyError, TypeError):
            raise malformed(f"page {value!r:.200}", operation="listByProject", target=project_id) from None

    async def list_by_entity(
        self, project_id: str, entity: EntityName, *, cursor: str | None
    ) -> tuple[Sequence[ShownAsset], str | None]:
        """``sidecar:listByEntity``: as ``list_by_project``, of one scene or session."""
        session_id, entity_type, entity_id = entity
        args = {"sessionId": session_id, "entityType": entity_type, "entityId": entity_id, "cursor": cursor}
        value = await self._call("query", "listByEntity", {"projectId": project_id, **args})
        try:
            return [_asset(item) for item in value["assets"]], value["cursor"]
        except (KeyError, TypeError):
            raise malformed(f"page {value!r:.200}", operation="listByEntity", target=project_id) from None

    async def remove_assets(
        self, project_id: str, removals: Sequence[tuple[Slot, int]]
    ) -> Sequence[RemovalOutcome]:
        """``sidecar:removeAssets``: at most 100, each only if it still has the version that was seen."""
        items = [{"slot": wire_slot(slot), "expectedVersion": version} for slot, version in removals]
        value = await self._call("mutation", "removeAssets", {"projectId": project_id, "removals": items})
        try:
            outcomes = [RemovalOutcome(item["outcome"]) for item in value]
        except (KeyError, TypeError, ValueError):
            raise malformed(f"{value!r:.200}", operation="removeAssets", target=project_id) from None
        if len(outcomes) != len(removals):
            raise malformed("not one outcome per asset", operation="removeAssets", target=project_id)
        return outcomes

    async def expire_versions(self, project_id: str, versions: Sequence[tuple[Slot, int]]) -> Sequence[bool]:
        """``sidecar:expireVersions``: mark at most 100, so that their objects may go; tell which are."""
        items = [{**wire_slot(slot), "version": version} for slot, version in versions]
        value = await self._call("mutation", "expireVersions", {"projectId": project_id, "versions": items})
        return decode.marks(value, len(versions), operation="expireVersions")

    async def forget_older(
        self, project_id: str, versions: Sequence[tuple[Slot, int]]
    ) -> Sequence[Sequence[OlderVersion]]:
        """``sidecar:forgetOlder``: of at most 100 removed assets what is left of their versions, in order."""
        items = [{**wire_slot(slot), "version": version} for slot, version in versions]
        value = await self._call("mutation", "forgetOlder", {"projectId": project_id, "versions": items})
        if not isinstance(value, list) or len(value) != len(versions):
            raise malformed("not one list per asset", operation="forgetOlder", target=project_id)
        try:
            return [[_older(one) for one in some] for some in value]
        except (KeyError, TypeError, ValueError):
            raise malformed(f"{value!r:.200}", operation="forgetOlder", target=project_id) from None

    async def can_read(self, asset_id: str, viewer: tuple[str, str] | None) -> bool:
        """Ask ``sidecar:canRead``: may this viewer, an issuer and a subject, see the asset."""
        who = None if viewer is None else {"issuer": viewer[0], "subject": viewer[1]}
        return await self._call("query", "canRead", {"asset": asset_id, "viewer": who}) is True


def _left(item: Any) -> LeftObject:
    try:
        version = item["version"]
        named = None if version is None else decode.version_of(version)
        return LeftObject(project_id=str(item["projectId"]), version=named)
    except (KeyError, TypeError, ValueError):
        raise malformed(f"{item!r:.200}", operation="leftObjects", target="keys") from None


def _shown(item: Any) -> ShownObject:
    try:
        return ShownObject(
            assets=tuple(_asset(one) for one in item["assets"]), others=item["others"] is not False
        )
    except (KeyError, TypeError):
        raise malformed(f"{item!r:.200}", operation="assetsByKey", target="keys") from None


def _older(item: Any) -> OlderVersion:
    return OlderVersion(
        version=int(item["version"]),
        transfer_id=str(item["transfer"]),
        bucket=str(item["bucket"]),
        key=str(item["s3Key"]),
    )


def _asset(item: Any) -> ShownAsset:
    try:
        return ShownAsset(
            id=str(item["id"]),
            slot=decode.slot_of(item),
            project_id=str(item["projectId"]),
            index=None if item["index"] is None else int(item["index"]),
            role=item["role"],
            key=str(item["s3Key"]),
            url=str(item["s3Url"]),
            bucket=str(item["bucket"]),
            content_type=str(item["contentType"]),
            size_bytes=int(item["size"]),
            checksum=str(item["checksum"]),
            etag=str(item["etag"]),
            transfer_id=str(item["transfer"]),
            version=int(item["version"]),
            created_ms=int(item["createdAt"]),
            uploaded_ms=int(item["uploadedAt"]),
            version_id=item.get("s3VersionId"),
            metadata={str(k): str(v) for k, v in item["metadata"].items()},
        )
    except (AttributeError, KeyError, TypeError, ValueError):
        raise malformed(f"asset {item!r:.200}", operation="read", target="asset") from None

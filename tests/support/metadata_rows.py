"""The rows that the Convex functions keep (sidecar/sync/functions), as far as a sidecar can tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sidecar.core.model import AssetType, EntityType, Slot
from sidecar.core.ops import CurrentAsset, Op, OpKind

SlotKey = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """A row of ``appliedOps``."""

    epoch: int
    seq: int
    slot: SlotKey
    content: str
    version: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A row of ``assetVersions``, and of ``assets`` while its slot holds it."""

    sidecar: str
    slot: SlotKey
    version: int
    transfer: str
    bucket: str
    key: str
    size_bytes: int
    checksum: str
    created_ms: int

    @property
    def current(self) -> CurrentAsset:
        """What ``sidecar:currentAssets`` says of it."""
        return CurrentAsset(
            bucket=self.bucket,
            key=self.key,
            transfer_id=self.transfer,
            checksum=self.checksum,
            size_bytes=self.size_bytes,
            version=self.version,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """One op that was taken, in the order of arrival. ``is_good``: facts, that the scene is ready."""

    epoch: int
    seq: int
    kind: OpKind
    scene: tuple[str, str] | None
    outcome: str
    is_good: bool


def key_of(slot: Slot) -> SlotKey:
    """Return a slot as rows name it."""
    return (slot.session_id, slot.entity_type, slot.entity_id, slot.asset_type, slot.name)


def slot_from(key: SlotKey) -> Slot:
    """Undo ``key_of``."""
    session_id, entity_type, entity_id, asset_type, name = key
    return Slot(
        session_id=session_id,
        entity_type=EntityType(entity_type),
        entity_id=entity_id,
        asset_type=AssetType(asset_type),
        name=name,
    )


def slot_key(session_id: str, op: Op) -> SlotKey:
    """Return what an op is about; a scene's facts are a slot of their own."""
    body = op.body
    if op.kind is OpKind.FACTS:
        return (session_id, "facts", body["sceneId"])
    return (session_id, body["entityType"], body["entityId"], body["assetType"], body["name"])


def scene_of(session_id: str, op: Op) -> tuple[str, str] | None:
    """Return the scene that an op is about."""
    body = op.body
    if op.kind is OpKind.FACTS:
        return (session_id, body["sceneId"])
    return (session_id, body["entityId"]) if body["entityType"] == "scene" else None


def content_of(op: Op) -> str:
    """Return what a retry must repeat."""
    body: Mapping[str, Any] = op.body
    match op.kind:
        case OpKind.FACTS:
            return f"facts {body['complete']} {body['owed']} {body['error']}"
        case OpKind.REMOVE:
            return "remove"
        case OpKind.PUT:
            asset = body["asset"]
            return f"put {asset['checksum']} {asset['size']} {asset['s3Key']}"

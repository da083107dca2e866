"""Turns what the journal and Convex know of an asset into the platform's reference."""

from __future__ import annotations

from collections.abc import Mapping

from sidecar.core.model import Slot, Transfer
from sidecar.journal.stores.takedowns import AskedTakedown
from sidecar.sync.backend import ShownAsset

from .models import AssetReference


def reference_of(transfer: Transfer, *, url: str) -> AssetReference:
    """Return the reference of what a journal has; ``url`` is the object's address."""
    route = transfer.route
    return _reference(
        route.slot,
        (route.project_id, route.index, route.role, route.content_type, route.metadata),
        (transfer.key, url, transfer.bucket, transfer.size_bytes, transfer.checksum or ""),
        version=transfer.version,
        created_at=transfer.uploaded_ms,
    )


def shown_reference(asset: ShownAsset) -> AssetReference:
    """Return the reference of what Convex shows."""
    return _reference(
        asset.slot,
        (asset.project_id, asset.index, asset.role, asset.content_type, asset.metadata),
        (asset.key, asset.url, asset.bucket, asset.size_bytes, asset.checksum),
        version=asset.version,
        created_at=asset.created_ms,
    )


def _reference(
    slot: Slot,
    described: tuple[str, int | None, str | None, str, Mapping[str, str]],
    stored: tuple[str, str, str, int, str],
    *,
    version: int | None,
    created_at: int | None,
) -> AssetReference:
    """Name each field once: what is said of an asset, and what its object is."""
    project_id, index, role, content_type, metadata = described
    s3_key, s3_url, bucket, size, checksum = stored
    return AssetReference(
        id=slot.digest,
        session_id=slot.session_id,
        project_id=project_id,
        entity_id=slot.entity_id,
        entity_type=slot.entity_type,
        asset_type=slot.asset_type,
        name=slot.name,
        index=index,
        role=role,
        s3_key=s3_key,
        s3_url=s3_url,
        bucket=bucket,
        content_type=content_type,
        size=size,
        checksum=checksum,
        version=version,
        created_at=created_at,
        metadata=dict(metadata),
    )


def asked_takedown(asset: ShownAsset, *, with_older: bool) -> AskedTakedown:
    """Return the wish to remove an asset as it was shown."""
    return AskedTakedown(
        project_id=asset.project_id,
        slot=asset.slot,
        version=asset.version,
        bucket=asset.bucket,
        key=asset.key,
        transfer_id=asset.transfer_id,
        with_older=with_older,
    )

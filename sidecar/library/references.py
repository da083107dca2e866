"""Turns what the journal and Convex know of an asset into the platform's reference."""

from __future__ import annotations

from sidecar.core.model import Transfer
from sidecar.journal.stores.takedowns import AskedTakedown
from sidecar.sync.backend import ShownAsset

from .models import AssetReference


def reference_of(transfer: Transfer, *, url: str) -> AssetReference:
    """Return the reference of what a journal has; ``url`` is the object's address."""
    route, slot = transfer.route, transfer.route.slot
    return AssetReference(
        id=slot.digest,
        session_id=slot.session_id,
        project_id=route.project_id,
        entity_id=slot.entity_id,
        entity_type=slot.entity_type,
        asset_type=slot.asset_type,
        name=slot.name,
        index=route.index,
        role=route.role,
        s3_key=transfer.key,
        s3_url=url,
        bucket=transfer.bucket,
        content_type=route.content_type,
        size=transfer.size_bytes,
        checksum=transfer.checksum or "",
        version=transfer.version,
        created_at=transfer.uploaded_ms,
        metadata=dict(route.metadata),
    )


def shown_reference(asset: ShownAsset) -> AssetReference:
    """Return the reference of what Convex shows."""
    slot = asset.slot
    return AssetReference(
        id=asset.id,
        session_id=slot.session_id,
        project_id=asset.project_id,
        entity_id=slot.entity_id,
        entity_type=slot.entity_type,
        asset_type=slot.asset_type,
        name=slot.name,
        index=asset.index,
        role=asset.role,
        s3_key=asset.key,
        s3_url=asset.url,
        bucket=asset.bucket,
        content_type=asset.content_type,
        size=asset.size_bytes,
        checksum=asset.checksum,
        version=asset.version,
        created_at=asset.created_ms,
        metadata=dict(asset.metadata),
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

"""Keeps the outbox: an op enters it in the transaction of the fact that it announces."""

from __future__ import annotations

import json
from typing import Any

from sidecar.core.model import Transfer
from sidecar.core.ops import OpKind, slot_fields
from sidecar.journal.db.connection import Topic
from sidecar.journal.db.store import Store

_ENCODE = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class Outbox(Store):
    """Ops in the order in which they became true; ``batches.py`` carries them."""

    def enqueue(
        self,
        kind: OpKind,
        *,
        project_id: str,
        session_id: str,
        scene_id: str | None,
        slot: str,
        transfer: int | None,
        body: dict[str, Any],
    ) -> None:
        """Add an op to the outbox, in the transaction of the fact that it announces."""
        self._db.execute(
            "INSERT INTO outbox (op_id, kind, state, project_id, session_id, scene_id, slot, transfer, body)"
            " VALUES (?, ?, 'pending', ?, ?, ?, ?, ?, ?)",
            [
                self._db.chance(16).hex(),
                kind,
                project_id,
                session_id,
                scene_id,
                slot,
                transfer,
                _ENCODE(body),
            ],
        )
        self._db.topics.add(Topic.OUTBOX)

    def announce(
        self,
        transfer: Transfer,
        *,
        url: str,
        etag: str | None,
        version_id: str | None,
        uploaded_ms: int | None,
    ) -> None:
        """Put a transfer's op into the outbox: its object is in S3, under ``url``, as S3 confirmed it."""
        asset = {
            "s3Key": transfer.key,
            "s3Url": url,
            "bucket": transfer.bucket,
            "contentType": transfer.route.content_type,
            "size": transfer.size_bytes,
            "checksum": transfer.checksum,
            "etag": etag,
            "uploadedAt": uploaded_ms,
        }
        if transfer.media is not None:
            asset |= transfer.media.wire()
        if version_id:
            asset["s3VersionId"] = version_id
        self.enqueue_of_asset(
            OpKind.PUT,
            transfer,
            index=transfer.route.index,
            role=transfer.route.role,
            transfer=transfer.transfer_id,
            metadata=dict(transfer.route.metadata),
            asset=asset,
        )

    def enqueue_of_asset(self, kind: OpKind, of: Transfer, /, **more: Any) -> None:
        """Add an op of one asset: its body names the slot, and has ``more`` as it stands."""
        slot = of.route.slot
        self.enqueue(
            kind,
            project_id=of.route.project_id,
            session_id=slot.session_id,
            scene_id=of.route.scene_id,
            slot=slot.digest,
            transfer=of.row_id,
            body={**slot_fields(slot), **more},
        )

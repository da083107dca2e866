"""Keeps the outbox: an op enters it in the transaction of the fact that it announces."""

from __future__ import annotations

import json
from typing import Any

from sidecar.core.model import Transfer
from sidecar.core.ops import OpKind
from sidecar.journal.db.connection import Topic
from sidecar.journal.db.store import Store


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
                json.dumps(body, ensure_ascii=False, separators=(",", ":")),
            ],
        )
        self._db.topics.add(Topic.OUTBOX)

    def announce(self, transfer: Transfer, url: str) -> None:
        """Put a transfer's op into the outbox: its object is in S3, under ``url``."""
        slot, stored = transfer.route.slot, transfer
        asset = {
            "s3Key": stored.key,
            "s3Url": url,
            "bucket": stored.bucket,
            "contentType": transfer.route.content_type,
            "size": transfer.size_bytes,
            "checksum": transfer.checksum,
            "etag": stored.etag,
            "uploadedAt": transfer.uploaded_ms,
        }
        if stored.version_id:
            asset["s3VersionId"] = stored.version_id
        self.enqueue(
            OpKind.PUT,
            project_id=transfer.route.project_id,
            session_id=slot.session_id,
            scene_id=transfer.route.scene_id,
            slot=slot.digest,
            transfer=transfer.row_id,
            body={
                "entityType": slot.entity_type,
                "entityId": slot.entity_id,
                "assetType": slot.asset_type,
                "name": slot.name,
                "index": transfer.route.index,
                "role": transfer.route.role,
                "transfer": transfer.transfer_id,
                "metadata": dict(transfer.route.metadata),
                "asset": asset,
            },
        )

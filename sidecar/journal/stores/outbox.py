"""Keeps the outbox: an op enters it in the transaction of the fact that it announces."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sidecar.core.model import StoredObject, Transfer
from sidecar.core.ops import OpKind, slot_fields
from sidecar.journal.db.connection import Topic
from sidecar.journal.db.store import Store

_INTO = "INSERT INTO outbox (op_id, kind, state, project_id, session_id, scene_id, slot, transfer, body)"
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
        about = (project_id, session_id, scene_id, slot, transfer, _ENCODE(body))
        self._insert([(self._db.chance(16).hex(), kind, "pending", *about)])

    def enqueue_of_asset(self, kind: OpKind, of: Transfer, /, **more: Any) -> None:
        """Add an op of one asset: its body names the slot, and has ``more`` as it stands."""
        self._insert([self._of_asset(kind, of, **more)])

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
        self._insert([self._put(transfer, url, etag, version_id, uploaded_ms)])

    def announce_all(self, stored: Sequence[tuple[Transfer, StoredObject, str]], *, uploaded_ms: int) -> None:
        """Announce many objects with their URLs, in this order."""
        self._insert(
            [self._put(transfer, url, one.etag, one.version_id, uploaded_ms) for transfer, one, url in stored]
        )

    def _insert(self, ops: Sequence[tuple[str | int | None, ...]]) -> None:
        self._db.insert(_INTO, ops)
        self._db.topics.add(Topic.OUTBOX)

    def _put(
        self, transfer: Transfer, url: str, etag: str | None, version_id: str | None, uploaded_ms: int | None
    ) -> tuple[str | int | None, ...]:
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
        return self._of_asset(
            OpKind.PUT,
            transfer,
            index=transfer.route.index,
            role=transfer.route.role,
            transfer=transfer.transfer_id,
            metadata=dict(transfer.route.metadata),
            asset=asset,
        )

    def _of_asset(self, kind: OpKind, of: Transfer, /, **more: Any) -> tuple[str | int | None, ...]:
        slot, body = of.route.slot, _ENCODE({**slot_fields(of.route.slot), **more})
        about = (of.route.project_id, slot.session_id, of.route.scene_id, slot.digest, of.row_id, body)
        return (self._db.chance(16).hex(), kind, "pending", *about)

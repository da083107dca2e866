"""Keeps the outbox: an op enters it in the transaction of the fact that it announces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sidecar.core.model import StoredObject, Transfer
from sidecar.core.ops import OpKind, slot_fields
from sidecar.journal.db.connection import Topic
from sidecar.journal.db.rows import json_text
from sidecar.journal.db.store import Store

_INTO = "INSERT INTO outbox (op_id, kind, state, project_id, session_id, scene_id, slot, transfer, body)"
_Row = tuple[str, str, str | None, str, int | None, str]  # the last columns of _INTO
# Objects that S3 confirmed, in their order; what their transfers know is not given once more.
_PUTS = """
WITH p (op_id, project_id, transfer, body) AS (VALUES {rows})
INSERT INTO outbox (op_id, kind, state, project_id, session_id, scene_id, slot, transfer, body)
SELECT p.op_id, 'put', 'pending', p.project_id, t.session_id, t.scene_id, t.slot, t.id, p.body
FROM p CROSS JOIN transfers t ON t.id = p.transfer
"""


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
        self._insert(kind, [(project_id, session_id, scene_id, slot, transfer, json_text(body))])

    def enqueue_of_asset(self, kind: OpKind, of: Transfer, /, **more: Any) -> None:
        """Add an op of one asset: its body names the slot, and has ``more`` as it stands."""
        self._insert(kind, [_of_asset(of, more)])

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
        self._announce([(transfer, _put(transfer, url, etag, version_id, uploaded_ms))])

    def announce_all(self, stored: Sequence[tuple[Transfer, StoredObject, str]], *, uploaded_ms: int) -> None:
        """Announce many objects with their URLs, in this order."""
        self._announce(
            [
                (transfer, _put(transfer, url, one.etag, one.version_id, uploaded_ms))
                for transfer, one, url in stored
            ]
        )

    def _announce(self, puts: Sequence[tuple[Transfer, str]]) -> None:
        chance = self._db.chance
        self._db.over(
            _PUTS, [(chance(16).hex(), one.route.project_id, one.row_id, body) for one, body in puts]
        )
        self._db.topics.add(Topic.OUTBOX)

    def _insert(self, kind: OpKind, ops: Sequence[_Row]) -> None:
        chance, word = self._db.chance, str(kind)
        self._db.insert(_INTO, [(chance(16).hex(), word, "pending", *op) for op in ops])
        self._db.topics.add(Topic.OUTBOX)


def _put(
    transfer: Transfer, url: str, etag: str | None, version_id: str | None, uploaded_ms: int | None
) -> str:
    route = transfer.route
    asset = {
        "s3Key": transfer.key,
        "s3Url": url,
        "bucket": transfer.bucket,
        "contentType": route.content_type,
        "size": transfer.size_bytes,
        "checksum": transfer.checksum,
        "etag": etag,
        "uploadedAt": uploaded_ms,
    }
    if transfer.media is not None:
        asset |= transfer.media.wire()
    if version_id:
        asset["s3VersionId"] = version_id
    what = {"index": route.index, "role": route.role, "transfer": transfer.transfer_id}
    return _body(transfer, {**what, "metadata": route.metadata, "asset": asset})


def _of_asset(of: Transfer, more: Mapping[str, Any]) -> _Row:
    slot = of.route.slot
    return (of.route.project_id, slot.session_id, of.route.scene_id, slot.digest, of.row_id, _body(of, more))


def _body(of: Transfer, more: Mapping[str, Any]) -> str:
    return json_text({**slot_fields(of.route.slot), **more})

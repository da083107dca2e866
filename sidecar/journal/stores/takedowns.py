"""Keeps which assets a program has asked to remove, whoever wrote them, until Convex and S3 have done it."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from sidecar.core.model import AssetType, EntityType, Slot
from sidecar.journal.db.connection import JournalConnection
from sidecar.journal.db.store import Store, transaction

from .cleanup import Cleanup


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedTakedown:
    """An asset as it was seen: it is removed if it still has this version. ``id`` is 0 before it is kept.

    ``with_older``: the objects of its older versions go, too.
    """

    project_id: str
    slot: Slot
    version: int
    bucket: str
    key: str
    transfer_id: str
    with_older: bool = False
    id: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkedObject:
    """An object that no version names any more that is shown."""

    bucket: str
    key: str
    transfer_id: str


class Takedowns(Store):
    """Asked, and settled: all steps between are idempotent, and repeated after a kill."""

    def __init__(self, db: JournalConnection, cleanup: Cleanup) -> None:
        super().__init__(db)
        self._cleanup = cleanup

    @transaction
    def ask(self, asked: Sequence[AskedTakedown]) -> list[AskedTakedown]:
        """Keep what is to be removed, before anybody is told; return it with its ids."""
        return [replace(one, id=self._insert(one)) for one in asked]

    def left(self, *, limit: int, without: Collection[int] = ()) -> list[AskedTakedown]:
        """Return what is not settled, oldest first, of one project; ``without`` these ids."""
        rows = self._db.execute(
            "WITH due AS (SELECT * FROM takedowns WHERE id NOT IN (SELECT value FROM json_each(?)))"
            " SELECT * FROM due WHERE project_id = (SELECT project_id FROM due ORDER BY id LIMIT 1)"
            " ORDER BY id LIMIT ?",
            [json.dumps(sorted(without)), limit],
        ).fetchall()
        return [
            AskedTakedown(
                id=row["id"],
                project_id=row["project_id"],
                slot=Slot(
                    session_id=row["session_id"],
                    entity_type=EntityType(row["entity_type"]),
                    entity_id=row["entity_id"],
                    asset_type=AssetType(row["asset_type"]),
                    name=row["name"],
                ),
                version=row["version"],
                bucket=row["bucket"],
                key=row["key"],
                transfer_id=row["transfer"],
                with_older=bool(row["with_older"]),
            )
            for row in rows
        ]

    @transaction
    def settle(self, asked: Sequence[AskedTakedown], *, marked: Mapping[int, Sequence[MarkedObject]]) -> None:
        """Let the objects be deleted that Convex has ``marked`` as expired, by ids; the others are kept."""
        for one in asked:
            known = self._db.execute("DELETE FROM takedowns WHERE id = ?", [one.id])
            if not known.rowcount:
                continue
            for found in marked.get(one.id, ()):
                if found.bucket == self._db.bucket:
                    self._cleanup.add_key_cleanup(found.key, transfer_id=found.transfer_id)

    def _insert(self, one: AskedTakedown) -> int:
        slot = one.slot
        cursor = self._db.execute(
            "INSERT INTO takedowns (project_id, session_id, entity_type, entity_id, asset_type, name,"
            " version, bucket, key, transfer, with_older) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                one.project_id,
                *(slot.session_id, slot.entity_type, slot.entity_id, slot.asset_type, slot.name),
                *(one.version, one.bucket, one.key, one.transfer_id, one.with_older),
            ],
        )
        return int(cursor.lastrowid or 0)

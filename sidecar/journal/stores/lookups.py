"""Lets transfers go that await a lookup, once it is known what Convex and S3 have of their content."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from sidecar.core.model import KnownContent, Slot, State, StoredObject
from sidecar.core.states import Event
from sidecar.journal.db.connection import JournalConnection, Topic
from sidecar.journal.db.rows import known_content_json, route_from
from sidecar.journal.db.store import Store, transaction

from .cleanup import Cleanup
from .transfers import Transfers


class AwaitedLookup(NamedTuple):
    """What Convex is asked of a transfer that waits for its answer."""

    row_id: int
    slot: Slot
    bucket: str
    checksum: str | None
    size_bytes: int


class Lookups(Store):
    """From a lookup that is awaited (``recovery.py``) to an upload, or straight to `synced`."""

    def __init__(self, db: JournalConnection, transfers: Transfers, cleanup: Cleanup) -> None:
        super().__init__(db)
        self._transfers, self._cleanup = transfers, cleanup

    def awaiting_lookup(self, *, limit: int) -> list[AwaitedLookup]:
        """Return ready transfers that wait for Convex's answer, oldest first."""
        rows = self._db.in_one(
            "SELECT json_array(id, route, bucket, checksum, size) AS one FROM transfers"
            " WHERE state = 'ready' AND held = 1 ORDER BY id LIMIT ?",
            [limit],
        )
        return [AwaitedLookup(row_id, route_from(route).slot, *rest) for row_id, route, *rest in rows]

    @transaction
    def end_lookups(self, found: Mapping[int, KnownContent | None], *, asked: bool = True) -> None:
        """Let transfers go, each with the known content that is to be looked for first; None: it is new.

        ``asked`` says that Convex answered. Otherwise it may know what is only to be searched for.
        """
        new = [row_id for row_id, known_content in found.items() if known_content is None]
        self._db.over(
            "UPDATE transfers SET held = 0, recall = NULL WHERE id IN ({rows}) AND held = 1",
            [(row_id,) for row_id in new],
        )
        for row_id, known_content in found.items():
            if known_content is None:
                continue
            self._db.execute(
                "UPDATE transfers SET held = 0, recall = ?, parked = iif(?, 0, parked)"
                " WHERE id = ? AND held = 1",
                [known_content_json(known_content), known_content.version is not None, row_id],
            )
            if asked and known_content.version is None:
                new.append(row_id)
        self._transfers.bring_news(new)
        self._db.topics.add(Topic.UPLOADS)

    @transaction
    def take_over_key(self, row_id: int, known_content: KnownContent) -> None:
        """Take over the id and the key under which the content was known: it goes there and nowhere else."""
        self._db.execute(
            "UPDATE transfers SET key = ?, transfer = ?, recall = ? WHERE id = ?",
            [known_content.key, known_content.transfer, known_content_json(known_content), row_id],
        )

    @transaction
    def adopt(self, row_id: int, stored: StoredObject) -> State:
        """ready -> synced: Convex shows this content, and S3 has it under the key that was looked up."""
        transfer = self._transfers.one(row_id)
        self._db.execute("UPDATE transfers SET lease = 0 WHERE id = ?", [row_id])
        if transfer.state is State.SUPERSEDED:
            self._cleanup.add_cleanup(transfer)
            return State.SUPERSEDED
        now, known_content = self._db.clock.wall_ms(), transfer.known_content or KnownContent()
        self._db.execute(
            "UPDATE transfers SET etag = ?, version_id = ?, version = ?, uploaded_ms = ?, synced_ms = ?,"
            " failures = 0, error_kind = NULL, error_message = NULL, part_checksums = NULL WHERE id = ?",
            [stored.etag, stored.version_id, known_content.version, now, now, row_id],
        )
        self._transfers.advance(transfer, Event.ADOPTED, f"version {known_content.version}, {transfer.key}")
        self._transfers.end_slot(transfer.route.slot.digest)
        self._db.topics.add(Topic.UPLOADS)
        return State.SYNCED

"""Ends an upload: what S3 confirmed, what changed under it, what failed for good."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import replace

from sidecar.core.errors import SidecarError
from sidecar.core.model import Observation, State, StatIdentity, StoredObject, Transfer
from sidecar.core.states import Event, IllegalTransitionError
from sidecar.journal.db.connection import JournalConnection, Topic
from sidecar.journal.db.meta import CHECKSUMS
from sidecar.journal.db.store import Store, together, transaction

from .cleanup import Cleanup
from .discovery import Discovery
from .outbox import Outbox
from .transfers import Transfers

# Uploads of which more follows than their own step, or that must not end. Hardly any: each row costs a turn.
_MORE_FOLLOWS = """
SELECT t.id, t.state, t.part_bytes,
  EXISTS (SELECT 1 FROM transfers o WHERE o.slot = t.slot AND o.id < t.id) AS has_older
FROM transfers t WHERE t.id IN ({rows}) AND (t.state <> 'ready' OR t.part_bytes NOT NULL
  OR EXISTS (SELECT 1 FROM transfers o WHERE o.slot = t.slot AND o.id <> t.id))
"""
# What S3 confirmed, of a transfer that was claimed and is wanted still, or was superseded meanwhile.
_UPLOADED = """
WITH s (id, etag, version_id, uploaded_ms) AS (VALUES {rows})
UPDATE transfers SET state = iif(state = 'ready', 'uploaded', state), etag = s.etag,
  version_id = s.version_id, uploaded_ms = s.uploaded_ms, lease = 0, failures = 0, upload_id = NULL,
  may_upload = 0, may_object = 1, error_kind = NULL, error_message = NULL, home = NULL, part_checksums = NULL
  FROM s WHERE transfers.id = s.id AND state IN ('ready', 'superseded')
"""


class Uploads(Store):
    """From `ready` to `uploaded`."""

    def __init__(
        self,
        db: JournalConnection,
        transfers: Transfers,
        outbox: Outbox,
        cleanup: Cleanup,
        discovery: Discovery,
    ) -> None:
        super().__init__(db)
        self._transfers, self._outbox = transfers, outbox
        self._cleanup, self._discovery = cleanup, discovery

    @transaction
    def begin_puts(self, row_ids: Sequence[tuple[int]]) -> list[None]:
        """Note many, as ``begin_put`` does."""
        self._db.gathered.intents.update(dict.fromkeys([row_id for (row_id,) in row_ids]))
        return [None] * len(row_ids)

    @together(begin_puts)
    @transaction
    def begin_put(self, row_id: int) -> None:
        """Note the intent, before a PUT or a Complete: from here on the object may exist."""
        self._db.gathered.intents[row_id] = None

    @transaction
    def uploaded_all(self, stored: Sequence[tuple[Transfer, StoredObject, str]]) -> list[State]:
        """Record many, as ``uploaded`` does."""
        now_ms = self._db.clock.wall_ms()
        rows = self._db.over(_MORE_FOLLOWS, [(claimed.row_id,) for claimed, _, _ in stored])
        more = {row["id"]: row for row in rows}
        before = self._db.conn.total_changes
        self._db.over(
            _UPLOADED, [(claimed.row_id, one.etag, one.version_id, now_ms) for claimed, one, _ in stored]
        )
        if self._db.conn.total_changes - before < len(stored):  # nobody has a lease: not to be overlooked
            raise self._refused([claimed.row_id for claimed, _, _ in stored], more)
        states = [
            self._followed(claimed, more[claimed.row_id]) if claimed.row_id in more else State.UPLOADED
            for claimed, _, _ in stored
        ]
        uploaded = [one for one, state in zip(stored, states, strict=True) if state is State.UPLOADED]
        self._stepped([claimed for claimed, _, _ in uploaded])
        self._outbox.announce_all(uploaded, uploaded_ms=now_ms)
        if more:  # others of their slots may have waited for them
            self._db.topics.add(Topic.UPLOADS)
        return states

    @together(uploaded_all)
    @transaction
    def uploaded(self, claimed: Transfer, stored: StoredObject, url: str) -> State:
        """ready -> uploaded with its op in the outbox; or superseded, with its object as a clean-up task.

        ``claimed`` is the transfer as it was claimed, under the key that it was sent to. Only one of a slot
        is claimed at a time.
        """
        return self.uploaded_all([(claimed, stored, url)])[0]

    def _refused(self, row_ids: Sequence[int], more: Mapping[int, sqlite3.Row]) -> Exception:
        """Return why not all of these uploads can end. Raises LookupError if one has no row."""
        for row_id in row_ids:
            state = more[row_id]["state"] if row_id in more else self._transfers.one(row_id).state
            if state not in {State.READY, State.SUPERSEDED}:  # what was ready is uploaded by now
                break
        return IllegalTransitionError(f"{state} knows no step {Event.UPLOADED}")

    def _followed(self, claimed: Transfer, row: sqlite3.Row) -> State:
        """Do what follows from an upload but its own step; return the state."""
        if row["part_bytes"] is not None:
            self._db.execute("DELETE FROM parts WHERE transfer = ?", [claimed.row_id])
            self._cleanup.add_cleanup_of_others(replace(claimed, part_bytes=row["part_bytes"]))
        if row["state"] == State.SUPERSEDED:
            self._cleanup.add_cleanup(claimed)
            return State.SUPERSEDED
        if row["has_older"]:
            self._withdraw_older(claimed)
        return State.UPLOADED

    def _stepped(self, uploaded: Sequence[Transfer]) -> None:
        """Count and write down: whatever is reported of a scene, its files are owed as before."""
        rows = [
            (
                *(one.row_id, one.transfer_id, one.display, one.route.slot.session_id, one.route.scene_id),
                *(one.size_bytes, one.size_bytes, one.key, one.ready_ms, one.version),
            )
            for one in uploaded
        ]
        self._transfers.stepped_alike(Event.UPLOADED, State.READY, rows, touch=False)

    @transaction
    def touched(self, row_id: int, identity: StatIdentity) -> None:
        """Remember that a second read found the same bytes under another identity (mtime, ctime)."""
        self._transfers.set_identity(self._transfers.one(row_id), identity)

    @transaction
    def content_changed(self, row_id: int, why: str) -> None:
        """Supersede a ready transfer whose bytes changed; its file is a candidate again."""
        self._transfers.uploads_began.pop(row_id, None)
        self._db.execute("UPDATE transfers SET lease = 0 WHERE id = ?", [row_id])
        transfer = self._transfers.one(row_id)
        if transfer.state is State.SUPERSEDED:
            self._cleanup.add_cleanup(transfer)
            return
        self._cleanup.supersede(transfer, why)
        if transfer.identity and not self._has_candidate(transfer):
            self._discovery.discover(
                Observation(
                    root=transfer.root,
                    path=transfer.path,
                    identity=transfer.identity,
                    route=transfer.route,
                    home=transfer.home,
                )
            )

    @transaction
    def mark_dead(self, row_id: int, error: SidecarError) -> None:
        """-> dead: attempts spent, or refused for good."""
        self._transfers.uploads_began.pop(row_id, None)
        transfer = self._transfers.one(row_id)
        if transfer.state is State.SUPERSEDED:
            self._cleanup.add_cleanup(transfer)
        else:
            self._cleanup.add_upload_cleanup(transfer)  # a requeue begins anew: nothing stays open meanwhile
            self._transfers.advance(transfer, Event.FAILED, str(error))
        self._db.execute(
            "UPDATE transfers SET lease = 0, died_in = ?, error_kind = ?, error_message = ?,"
            " failures = failures + 1 WHERE id = ?",
            [transfer.state, error.kind, str(error), row_id],
        )

    def checksums(self) -> str | None:
        """Return what was kept of the checksums that a store confirms."""
        return CHECKSUMS.read(self._db.conn)

    @transaction
    def keep_checksums(self, text: str) -> None:
        """Keep what was found out of the checksums that a store confirms."""
        CHECKSUMS.write(self._db.conn, text)

    # -- inside a transaction ----------------------------------------------------------------------

    def _has_candidate(self, transfer: Transfer) -> bool:
        return bool(self._transfers.of_slot(transfer, "t.state = 'discovered' AND t.id > ?", limit=1))

    def _withdraw_older(self, transfer: Transfer) -> None:
        """Supersede older content whose op was never sent: Convex need not hear of it any more."""
        for older in self._transfers.of_slot(transfer, "t.state = 'uploaded' AND t.id < ?"):
            unsent = self._db.execute(
                "SELECT 1 FROM outbox WHERE transfer = ? AND state = 'pending'", [older.row_id]
            ).fetchone()
            if unsent:
                self._cleanup.supersede(
                    older, "newer content of the same slot was uploaded before it was announced"
                )

"""The upload stage's half of the journal: leases, parts, what S3 confirmed, what S3 is owed.

A root is *barred* from the start of the process until it is certainly ours, and whenever it is not. Nobody
may claim its uploads and ops then, nor the facts of scenes that lie there alone (``bar``), so that a second
daemon does not tell Convex what it had planned in an earlier life.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sidecar.core.checksum_algorithms import Algorithm
from sidecar.core.errors import SidecarError
from sidecar.core.model import Observation, Part, State, StatIdentity, StoredObject, Transfer
from sidecar.core.ops import OpKind
from sidecar.core.states import Event
from sidecar.core.upload_order import ANY
from sidecar.journal.db.connection import Topic, transaction
from sidecar.journal.db.meta import CHECKSUMS
from sidecar.journal.db.rows import FROM_TRANSFERS, TRANSFER_COLUMNS, TRANSFERS, part_from, transfer_from

from .cleanup_tasks import CleanupTasks


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Rows that are ours until released, advanced, or the process ends; else when to ask again."""

    transfers: tuple[Transfer, ...]
    begun: frozenset[int]  # those of which S3 has parts
    next_due: float | None  # monotonic seconds of the earliest row that waits for its time


class Uploads(CleanupTasks):
    """From `ready` to `uploaded`."""

    def block_roots(self, roots: Collection[str]) -> None:
        """Let nobody claim anything of these roots: another sidecar may watch them."""
        self.blocked |= set(roots)

    def unblock_root(self, root: str) -> None:
        """It is ours: what waits for it may be claimed."""
        self.blocked.discard(root)
        self.topics |= {Topic.UPLOADS, Topic.OUTBOX}

    def blocked_roots(self) -> str:
        """Return the barred roots' numbers for SQL's IN."""
        if not self.blocked:
            return ""
        rows = self.db.execute("SELECT id, path FROM roots").fetchall()
        return ",".join(str(int(row["id"])) for row in rows if row["path"] in self.blocked)

    @transaction
    def claim_uploads(
        self, *, limit: int, now: float, priority: int = ANY, shorter_than_bytes: int = ANY
    ) -> Claim:
        """Lease ready transfers that are due; never two of one slot at once.

        By priority; of equal priority what is begun is finished first, the rest by age. An upload that was
        opened and has no parts is not begun: on a slow line many are. Only what is more urgent than
        ``priority``, or as urgent and shorter.
        """
        begun = "EXISTS (SELECT 1 FROM parts p WHERE p.transfer = t.id) AS begun"
        due = (
            f"SELECT id, slot, priority, {begun} FROM transfers t WHERE state = 'ready' AND lease = 0"
            " AND held = 0 AND parked = 0 AND due <= ?1"
            " AND NOT EXISTS (SELECT 1 FROM transfers o WHERE o.slot = t.slot AND o.lease = 1)"
            f" AND t.root NOT IN ({self.blocked_roots()})"
            " AND priority <= ?3 AND (priority < ?3 OR size < ?4)"
        )
        first = "ORDER BY priority, id LIMIT ?2"
        rows = self.db.execute(
            f"SELECT {TRANSFER_COLUMNS}, {begun} FROM {TRANSFERS} WHERE t.id IN (SELECT min(id) FROM ("
            f"  SELECT id, slot FROM (SELECT * FROM ({due} AND may_upload = 1 AND begun {first})"
            f"  UNION SELECT * FROM ({due} {first}))"
            "  ORDER BY priority, begun DESC, id LIMIT ?2) GROUP BY slot)"
            " ORDER BY t.priority, begun DESC, t.id",
            [now, limit, priority, shorter_than_bytes],
        ).fetchall()
        for row in rows:
            self.db.execute("UPDATE transfers SET lease = 1 WHERE id = ?", [row["id"]])
            self.uploads_began[row["id"]] = now
        return Claim(
            transfers=tuple(transfer_from(row) for row in rows),
            begun=frozenset(row["id"] for row in rows if row["begun"]),
            next_due=None if rows else self._next_upload_due(now),
        )

    @transaction
    def release(self, row_id: int) -> None:
        """Give a lease back: nothing to report. An overtaken transfer's clean-up tasks fall due with it."""
        self.uploads_began.pop(row_id, None)
        self.db.execute("UPDATE transfers SET lease = 0 WHERE id = ?", [row_id])
        transfer = self.one(row_id)
        if transfer.state is State.SUPERSEDED:
            self.add_cleanup(transfer)
        self.topics.add(Topic.UPLOADS)

    def checksums(self) -> str | None:
        """Return what was kept of the checksums that a store confirms."""
        return CHECKSUMS.read(self.db)

    @transaction
    def keep_checksums(self, text: str) -> None:
        """Keep what was found out of a store."""
        CHECKSUMS.write(self.db, text)

    def parts(self, row_id: int) -> list[Part]:
        """Return the parts whose success is journaled, by number."""
        rows = self.db.execute("SELECT * FROM parts WHERE transfer = ? ORDER BY number", [row_id])
        return [part_from(row) for row in rows]

    @transaction
    def begin_multipart(self, row_id: int, *, part_bytes: int, algorithm: Algorithm | None = None) -> None:
        """Note the intent, before Create: from here on an upload under this key may exist."""
        self.db.execute(
            "UPDATE transfers SET may_upload = 1, part_bytes = ?, algorithm = ?, upload_id = NULL"
            " WHERE id = ?",
            [part_bytes, algorithm, row_id],
        )
        self.scene_has_news(row_id)

    @transaction
    def opened(self, row_id: int, upload_id: str) -> None:
        """Remember the upload ID, before the first part."""
        self.db.execute("UPDATE transfers SET upload_id = ? WHERE id = ?", [upload_id, row_id])

    @transaction
    def part_stored(self, row_id: int, part: Part) -> bool:
        """S3 confirmed a part; spent attempts are forgotten. False: the transfer is no longer wanted."""
        self.db.execute(
            "INSERT OR REPLACE INTO parts VALUES (?, ?, ?, ?, ?)",
            [row_id, part.number, part.size_bytes, part.etag, part.checksum],
        )
        self.db.execute("UPDATE transfers SET failures = 0 WHERE id = ? AND failures > 0", [row_id])
        row = self.db.execute("SELECT state FROM transfers WHERE id = ?", [row_id]).fetchone()
        return bool(row["state"] == State.READY)

    @transaction
    def forget_upload(self, row_id: int) -> None:
        """The multipart upload is of no use any more: whatever is open under its key is owed to S3."""
        self.add_upload_cleanup(self.one(row_id))

    @transaction
    def begin_put(self, row_id: int) -> None:
        """Note the intent, before a PUT or a Complete: from here on the object may exist."""
        self.db.execute("UPDATE transfers SET may_object = 1 WHERE id = ?", [row_id])
        self.scene_has_news(row_id)

    @transaction
    def uploaded(self, row_id: int, stored: StoredObject, *, url: str) -> State:
        """ready -> uploaded with its op in the outbox; or superseded, with its object as a clean-up task."""
        self.db.execute(
            "UPDATE transfers SET etag = ?, version_id = ?, uploaded_ms = ?, lease = 0, failures = 0,"
            " upload_id = NULL, may_upload = 0, may_object = 1, error_kind = NULL, error_message = NULL,"
            " home = NULL WHERE id = ?",
            [stored.etag, stored.version_id, self.clock.wall_ms(), row_id],
        )
        self.db.execute("DELETE FROM parts WHERE transfer = ?", [row_id])
        transfer = self.one(row_id)
        self._add_cleanup_of_others(transfer)
        if transfer.state is State.SUPERSEDED:
            self.add_cleanup(transfer)
            return State.SUPERSEDED
        self.advance(transfer, Event.UPLOADED, transfer.key)
        self._withdraw_older(transfer)
        self._announce(transfer, url)
        self.topics.add(Topic.UPLOADS)
        self.report_scene(transfer.route.slot.session_id, transfer.route.scene_id)
        return State.UPLOADED

    @transaction
    def touched(self, row_id: int, identity: StatIdentity) -> None:
        """A second read found the same bytes under another identity (mtime, ctime)."""
        self.set_identity(self.one(row_id), identity)

    @transaction
    def content_changed(self, row_id: int, why: str) -> None:
        """The bytes changed under a ready transfer: superseded, and its file a candidate again."""
        self.uploads_began.pop(row_id, None)
        self.db.execute("UPDATE transfers SET lease = 0 WHERE id = ?", [row_id])
        transfer = self.one(row_id)
        if transfer.state is State.SUPERSEDED:
            self.add_cleanup(transfer)
            return
        self.supersede(transfer, why)
        if transfer.identity and not self._has_candidate(transfer):
            self.discover(
                Observation(
                    root=transfer.root,
                    path=transfer.path,
                    identity=transfer.identity,
                    route=transfer.route,
                    home=transfer.home,
                )
            )

    @transaction
    def fail_upload(self, row_id: int, error: SidecarError, *, due: float, spent: bool) -> None:
        """Remember a failure, release the lease, come back at ``due`` (monotonic seconds)."""
        self.db.execute(
            "UPDATE transfers SET lease = 0, due = ?, failures = failures + ?, error_kind = ?,"
            " error_message = ? WHERE id = ?",
            [due, int(spent), error.kind, str(error), row_id],
        )
        transfer = self.one(row_id)
        self.uploads_began.pop(row_id, None)
        self.record(transfer, "failed", transfer.state, str(error))
        if transfer.state is State.SUPERSEDED:
            self.add_cleanup(transfer)

    @transaction
    def mark_dead(self, row_id: int, error: SidecarError) -> None:
        """-> dead: attempts spent, or refused for good."""
        self.uploads_began.pop(row_id, None)
        transfer = self.one(row_id)
        if transfer.state is State.SUPERSEDED:
            self.add_cleanup(transfer)
        else:
            self.add_upload_cleanup(transfer)  # a requeue begins anew: nothing stays open for a letter's life
            self.advance(transfer, Event.FAILED, str(error))
        self.db.execute(
            "UPDATE transfers SET lease = 0, died_in = ?, error_kind = ?, error_message = ?,"
            " failures = failures + 1 WHERE id = ?",
            [transfer.state, error.kind, str(error), row_id],
        )
        self.report_scene(transfer.route.slot.session_id, transfer.route.scene_id)

    def open_uploads(self, *, key: str | None = None) -> dict[str, frozenset[str | None]]:
        """Return, by key, the IDs of uploads that we may have open, under one key or all.

        None among them: Create's answer is unknown.
        """
        rows = self.db.execute(
            "SELECT key, upload_id FROM transfers WHERE may_upload = 1 AND (?1 IS NULL OR key = ?1)", [key]
        )
        found: dict[str, frozenset[str | None]] = {}
        for row in rows:
            found[row["key"]] = found.get(row["key"], frozenset()) | {row["upload_id"]}
        return found

    # -- inside a transaction of another method ----------------------------------------------------

    def _recover(self) -> None:
        """Leases and due times belonged to a process that is no more."""
        with self.db.atomic():
            for row in self.db.execute(
                f"{FROM_TRANSFERS} WHERE t.lease = 1 AND t.state = 'superseded'"
            ).fetchall():
                self.add_cleanup(transfer_from(row))
            self.db.execute("UPDATE transfers SET lease = 0 WHERE lease = 1")
            self.db.execute("UPDATE transfers SET due = 0 WHERE state = 'ready' AND lease = 0 AND due > 0")
            self.db.execute("UPDATE outbox SET lease = 0, due = 0 WHERE lease = 1 OR due > 0")
            self.db.execute("UPDATE debts SET due = 0 WHERE due > 0")

    def _of_slot(self, transfer: Transfer, condition: str, limit: int = 1000) -> Sequence[Transfer]:
        """Other transfers of the same slot, newest first; ``condition`` may hold one ``?``: our id."""
        rows = self.db.execute(
            f"{FROM_TRANSFERS} WHERE t.slot = ? AND {condition} ORDER BY t.id DESC LIMIT ?",
            [transfer.route.slot.digest, transfer.row_id, limit],
        ).fetchall()
        return [transfer_from(row) for row in rows]

    def _has_candidate(self, transfer: Transfer) -> bool:
        return bool(self._of_slot(transfer, "t.state = 'discovered' AND t.id > ?", limit=1))

    def _next_upload_due(self, now: float) -> float | None:
        row = self.db.execute(
            "SELECT min(due) AS due FROM transfers"
            " WHERE state = 'ready' AND lease = 0 AND due > 0 AND due > ?",
            [now],
        ).fetchone()
        return row["due"] if row else None

    def _withdraw_older(self, transfer: Transfer) -> None:
        """Older content whose op was never sent is not worth telling any more."""
        for older in self._of_slot(transfer, "t.state = 'uploaded' AND t.id < ?"):
            unsent = self.db.execute(
                "SELECT 1 FROM outbox WHERE transfer = ? AND state = 'pending'", [older.row_id]
            ).fetchone()
            if unsent:
                self.supersede(older, "newer content of the same slot was uploaded before it was announced")

    def _announce(self, transfer: Transfer, url: str) -> None:
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

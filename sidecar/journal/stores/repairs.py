"""Makes repairs the journal's own work.

Requeues and clean-up tasks, each checked against what is true by now.
"""

from __future__ import annotations

from sidecar.core.model import KnownContent, State, Transfer
from sidecar.core.states import Event
from sidecar.journal.db.connection import Topic, transaction
from sidecar.journal.db.rows import known_content_json

from .uploads import Uploads


class Repairs(Uploads):
    """What reconciling and retention put into the journal; the stages do it."""

    def may_compare(self) -> str | None:
        """Return why journal, bucket and Convex cannot be compared now, as a sentence, or None."""
        row = self.db.execute(
            "SELECT 1 FROM transfers WHERE state = 'ready' AND (held = 1 OR recall IS NOT NULL) LIMIT 1"
        ).fetchone()
        if self.is_recovering or row is not None:
            return "the journal is new, and what S3 and Convex hold is still being found"
        return None

    @transaction
    def enqueue_again(self, row_id: int, *, url: str) -> bool:
        """Owe Convex the op of a transfer that is in S3, unless it is owed, or its slot has newer content."""
        transfer = self.find(row_id)
        if transfer is None or transfer.state not in {State.SYNCED, State.UPLOADED}:
            return False
        pending = self.db.execute("SELECT 1 FROM outbox WHERE transfer = ?", [row_id]).fetchone()
        if pending is not None or self._has_newer(transfer):
            return False
        if transfer.state is State.SYNCED:
            self.advance(transfer, Event.REQUEUED_SYNC, "Convex does not know it any more")
        self._announce(transfer, url)
        self.report_scene(transfer.route.slot.session_id, transfer.route.scene_id)
        return True

    @transaction
    def upload_again(self, row_id: int) -> bool:
        """synced -> ready under the same key, unless its slot has newer content; S3 is asked once more."""
        transfer = self.find(row_id)
        if transfer is None or transfer.state is not State.SYNCED or self._has_newer(transfer):
            return False
        here = KnownContent(key=transfer.key, transfer=transfer.transfer_id, version=transfer.version)
        self.db.execute(
            "UPDATE transfers SET failures = 0, due = 0, recall = ? WHERE id = ?",
            [known_content_json(here), row_id],
        )
        self.advance(transfer, Event.REQUEUED_UPLOAD, "S3 does not hold it any more")
        self.topics.add(Topic.UPLOADS)
        self.report_scene(transfer.route.slot.session_id, transfer.route.scene_id)
        return True

    @transaction
    def add_key_cleanup(self, key: str, *, transfer_id: str, upload_id: str | None = None) -> None:
        """Journal that the object ``key`` of ``transfer_id`` is to be deleted, or its open upload aborted."""
        self.db.execute(
            "INSERT INTO debts (delete_object, key, upload_id, transfer) VALUES (?, ?, ?, ?)",
            [upload_id is None, key, upload_id, transfer_id],
        )
        self.topics.add(Topic.CLEANUP)

    def _has_newer(self, transfer: Transfer) -> bool:
        return bool(
            self._of_slot(transfer, "t.state IN ('ready', 'uploaded', 'synced') AND t.id > ?", limit=1)
        )

"""Makes repairs the journal's own work: requeues and debts, each checked against what is true by now."""

from __future__ import annotations

from sidecar.core.model import Recall, State, Transfer
from sidecar.core.states import Event

from .base import Topic, transaction
from .rows import recall_json
from .shipping import Shipping


class Repairing(Shipping):
    """What reconciling and retention put into the journal; the stages do it."""

    def may_compare(self) -> str | None:
        """Return why journal, bucket and Convex cannot be compared now, as a sentence, or None."""
        row = self.db.execute(
            "SELECT 1 FROM transfers WHERE state = 'ready' AND (held = 1 OR recall IS NOT NULL) LIMIT 1"
        ).fetchone()
        if self.recalling or row is not None:
            return "the journal is new, and what S3 and Convex hold is still being found"
        return None

    @transaction
    def retell(self, transfer_id: int, *, url: str) -> bool:
        """Owe Convex the op of a transfer that is in S3, unless it is owed, or its slot has newer content."""
        transfer = self.find(transfer_id)
        if transfer is None or transfer.state not in {State.SYNCED, State.UPLOADED}:
            return False
        owed = self.db.execute("SELECT 1 FROM outbox WHERE transfer = ?", [transfer_id]).fetchone()
        if owed is not None or self._has_newer(transfer):
            return False
        if transfer.state is State.SYNCED:
            self.advance(transfer, Event.REQUEUED_SYNC, "Convex does not know it any more")
        self._announce(transfer, url)
        self.report_scene(transfer.route.slot.session_id, transfer.route.scene_id)
        return True

    @transaction
    def resend(self, transfer_id: int) -> bool:
        """synced -> ready under the same key, unless its slot has newer content; S3 is asked once more."""
        transfer = self.find(transfer_id)
        if transfer is None or transfer.state is not State.SYNCED or self._has_newer(transfer):
            return False
        here = Recall(key=transfer.key, transfer=transfer.transfer, version=transfer.version)
        self.db.execute(
            "UPDATE transfers SET failures = 0, due = 0, recall = ? WHERE id = ?",
            [recall_json(here), transfer_id],
        )
        self.advance(transfer, Event.REQUEUED_UPLOAD, "S3 does not hold it any more")
        self.topics.add(Topic.UPLOADS)
        self.report_scene(transfer.route.slot.session_id, transfer.route.scene_id)
        return True

    @transaction
    def owe_key(self, key: str, *, transfer: str, upload_id: str | None = None) -> None:
        """Journal that the object ``key`` of ``transfer`` is to be deleted, or its open upload aborted."""
        self.db.execute(
            "INSERT INTO debts (delete_object, key, upload_id, transfer) VALUES (?, ?, ?, ?)",
            [upload_id is None, key, upload_id, transfer],
        )
        self.topics.add(Topic.DEBTS)

    def _has_newer(self, transfer: Transfer) -> bool:
        return bool(
            self._of_slot(transfer, "t.state IN ('ready', 'uploaded', 'synced') AND t.id > ?", limit=1)
        )

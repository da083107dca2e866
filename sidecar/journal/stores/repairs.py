"""Makes repairs the journal's own work.

Dead letters go back to where they died, and what reconciling found goes to the stages again, each checked
against what is true by now.
"""

from __future__ import annotations

from sidecar.core.model import KnownContent, State, Transfer
from sidecar.core.states import Event
from sidecar.journal.db.connection import JournalConnection, Topic
from sidecar.journal.db.rows import known_content_json
from sidecar.journal.db.store import Store, transaction

from .cleanup import Cleanup
from .multipart import MultipartUploads
from .outbox import Outbox
from .transfers import Transfers


class Repairs(Store):
    """What operators, reconciling and retention put into the journal; the stages do it."""

    def __init__(
        self,
        db: JournalConnection,
        transfers: Transfers,
        outbox: Outbox,
        cleanup: Cleanup,
        multipart: MultipartUploads,
    ) -> None:
        super().__init__(db)
        self._transfers, self._outbox = transfers, outbox
        self._cleanup, self._multipart = cleanup, multipart

    @transaction
    def requeue(
        self, *, transfer_id: str | None = None, path: str | None = None, error_kind: str | None = None
    ) -> int:
        """Dead letters that match all given filters go back to where they died; returns how many.

        One whose slot has newer content by now is superseded instead.
        """
        rows = self._db.execute(
            "SELECT id, died_in FROM transfers WHERE state = 'dead' AND (?1 IS NULL OR transfer = ?1)"
            " AND (?2 IS NULL OR error_kind = ?2)",
            [transfer_id, error_kind],
        ).fetchall()
        letters = [(self._transfers.one(row["id"]), row["died_in"]) for row in rows]
        chosen = [(letter, died_in) for letter, died_in in letters if path is None or letter.display == path]
        for letter, died_in in chosen:
            self._requeue(letter, died_in)
        return len(chosen)

    def may_compare(self) -> str | None:
        """Return why journal, bucket and Convex cannot be compared now, as a sentence, or None."""
        row = self._db.execute(
            "SELECT 1 FROM transfers WHERE state = 'ready' AND (held = 1 OR recall IS NOT NULL) LIMIT 1"
        ).fetchone()
        if self._db.is_recovering or row is not None:
            return "the journal is new, and what S3 and Convex hold is still being found"
        return None

    @transaction
    def enqueue_again(self, row_id: int, *, url: str) -> bool:
        """Put the op of a transfer that is in S3 into the outbox, unless it is there or newer content is."""
        transfer = self._transfers.find(row_id)
        if transfer is None or transfer.state not in {State.SYNCED, State.UPLOADED}:
            return False
        pending = self._db.execute("SELECT 1 FROM outbox WHERE transfer = ?", [row_id]).fetchone()
        if pending is not None or self._has_newer(transfer):
            return False
        if transfer.state is State.SYNCED:
            self._transfers.advance(transfer, Event.REQUEUED_SYNC, "Convex does not know it any more")
        self._outbox.announce(
            transfer,
            url=url,
            etag=transfer.etag,
            version_id=transfer.version_id,
            uploaded_ms=transfer.uploaded_ms,
        )
        return True

    @transaction
    def upload_again(self, row_id: int) -> bool:
        """synced -> ready under the same key, unless its slot has newer content; S3 is asked once more."""
        transfer = self._transfers.find(row_id)
        if transfer is None or transfer.state is not State.SYNCED or self._has_newer(transfer):
            return False
        here = KnownContent(key=transfer.key, transfer=transfer.transfer_id, version=transfer.version)
        self._db.execute(
            "UPDATE transfers SET failures = 0, due = 0, recall = ? WHERE id = ?",
            [known_content_json(here), row_id],
        )
        self._transfers.advance(transfer, Event.REQUEUED_UPLOAD, "S3 does not hold it any more")
        self._db.topics.add(Topic.UPLOADS)
        return True

    # -- inside a transaction ----------------------------------------------------------------------

    def _requeue(self, letter: Transfer, died_in: str | None) -> None:
        if self._transfers.of_slot(
            letter, "t.state IN ('ready', 'uploaded', 'synced') AND t.id > ?", limit=1
        ):
            self._cleanup.supersede(letter, "its slot has newer content")
            return
        self._db.execute("UPDATE transfers SET failures = 0, due = 0 WHERE id = ?", [letter.row_id])
        if died_in == State.UPLOADED:
            self._transfers.advance(letter, Event.REQUEUED_SYNC)
            self._db.execute(
                "UPDATE outbox SET state = 'sent', failures = 0, due = 0, lease = 0 WHERE transfer = ?",
                [letter.row_id],
            )
        else:
            self._multipart.redirect_one(letter)
            self._transfers.advance(letter, Event.REQUEUED_UPLOAD)
        self._db.topics |= {Topic.UPLOADS, Topic.OUTBOX}

    def _has_newer(self, transfer: Transfer) -> bool:
        return bool(
            self._transfers.of_slot(
                transfer, "t.state IN ('ready', 'uploaded', 'synced') AND t.id > ?", limit=1
            )
        )

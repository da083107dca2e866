"""Ends an upload: what S3 confirmed, what changed under it, what failed for good."""

from __future__ import annotations

from sidecar.core.errors import SidecarError
from sidecar.core.model import Observation, State, StatIdentity, StoredObject, Transfer
from sidecar.core.states import Event
from sidecar.journal.db.connection import JournalConnection, Topic
from sidecar.journal.db.meta import CHECKSUMS
from sidecar.journal.db.store import Store, transaction

from .cleanup import Cleanup
from .discovery import Discovery
from .outbox import Outbox
from .scene_reports import SceneReports
from .transfers import Transfers


class Uploads(Store):
    """From `ready` to `uploaded`."""

    def __init__(
        self,
        db: JournalConnection,
        transfers: Transfers,
        outbox: Outbox,
        scene_reports: SceneReports,
        cleanup: Cleanup,
        discovery: Discovery,
    ) -> None:
        super().__init__(db)
        self._transfers, self._outbox, self._scene_reports = transfers, outbox, scene_reports
        self._cleanup, self._discovery = cleanup, discovery

    @transaction
    def begin_put(self, row_id: int) -> None:
        """Note the intent, before a PUT or a Complete: from here on the object may exist."""
        self._db.execute("UPDATE transfers SET may_object = 1 WHERE id = ?", [row_id])
        self._scene_reports.scene_has_news(row_id)

    @transaction
    def uploaded(self, row_id: int, stored: StoredObject, *, url: str) -> State:
        """ready -> uploaded with its op in the outbox; or superseded, with its object as a clean-up task."""
        self._db.execute(
            "UPDATE transfers SET etag = ?, version_id = ?, uploaded_ms = ?, lease = 0, failures = 0,"
            " upload_id = NULL, may_upload = 0, may_object = 1, error_kind = NULL, error_message = NULL,"
            " home = NULL, part_checksums = NULL WHERE id = ?",
            [stored.etag, stored.version_id, self._db.clock.wall_ms(), row_id],
        )
        self._db.execute("DELETE FROM parts WHERE transfer = ?", [row_id])
        transfer = self._transfers.one(row_id)
        self._cleanup.add_cleanup_of_others(transfer)
        if transfer.state is State.SUPERSEDED:
            self._cleanup.add_cleanup(transfer)
            return State.SUPERSEDED
        self._transfers.advance(transfer, Event.UPLOADED, transfer.key)
        self._withdraw_older(transfer)
        self._outbox.announce(transfer, url)
        self._db.topics.add(Topic.UPLOADS)
        self._scene_reports.report_scene(transfer.route.slot.session_id, transfer.route.scene_id)
        return State.UPLOADED

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
        self._scene_reports.report_scene(transfer.route.slot.session_id, transfer.route.scene_id)

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

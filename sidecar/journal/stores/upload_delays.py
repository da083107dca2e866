"""Journals uploads that wait for our own disk: no attempt is spent, and their number costs bounded work.

``upload/unreadable_sources.py`` explains how.
"""

from __future__ import annotations

from sidecar.core.errors import ErrorKind, SidecarError
from sidecar.core.model import State
from sidecar.journal.db.connection import JournalConnection, Rare, Topic
from sidecar.journal.db.store import Store, transaction

from .cleanup import Cleanup
from .transfers import Transfers

_BELOW = "(?3 = '' OR folder = ?3 OR substr(folder, 1, length(?3) + 1) = ?3 || '/')"


class UploadDelays(Store):
    """From `ready` to `ready`, later."""

    def __init__(self, db: JournalConnection, transfers: Transfers, cleanup: Cleanup) -> None:
        super().__init__(db)
        self._transfers, self._cleanup = transfers, cleanup

    @transaction
    def delay_upload(self, row_id: int, error: SidecarError, *, due: float) -> None:
        """Remember why a file cannot be read, and release the lease until ``due`` (monotonic seconds).

        However often it is tried, the history says it once.
        """
        transfer = self._transfers.one(row_id)
        self._db.execute(
            "UPDATE transfers SET lease = 0, due = ?, error_kind = ?, error_message = ? WHERE id = ?",
            [due, error.kind, str(error), row_id],
        )
        self._db.none_of.discard(Rare.DELAYED_UPLOADS)
        if transfer.state is State.SUPERSEDED:
            self._cleanup.add_cleanup(transfer)
        elif transfer.error_message != str(error):
            self._transfers.remember(transfer, "waits", str(error))

    @transaction
    def delay_uploads_below(
        self, root: str, folder: str, error: SidecarError, *, home: str | None, due: float, apart: float
    ) -> int:
        """Let all that waits in and below a folder come back from ``due`` on, ``apart`` seconds apart.

        ``home``: only what was seen there, None: all. Returns how many they are.
        """
        put_off = self._db.execute(
            "UPDATE transfers SET due = ?1 + ?2 * turn.number, error_kind = ?5, error_message = ?6 FROM"
            " (SELECT id, row_number() OVER (ORDER BY priority, id) AS number FROM transfers"
            "  WHERE state = 'ready' AND lease = 0 AND held = 0 AND root = ?4 AND (?7 IS NULL OR home = ?7)"
            f" AND {_BELOW}) AS turn WHERE transfers.id = turn.id",
            [due, apart, folder, self._db.root_id(root), error.kind, str(error), home],
        )
        self._db.none_of.discard(Rare.DELAYED_UPLOADS)
        return put_off.rowcount

    @transaction
    def hasten_readable(self, root: str, *, limit: int) -> None:
        """One file of a root could be read again: some more uploads that wait for the root are due."""
        self._db.execute(
            "UPDATE transfers SET due = 0 WHERE id IN (SELECT id FROM transfers WHERE state = 'ready'"
            " AND lease = 0 AND due > 0 AND error_kind = ? AND root = ? ORDER BY due LIMIT ?)",
            [ErrorKind.LOCAL_IO, self._db.root_id(root), limit],
        )
        self._db.topics.add(Topic.UPLOADS)

    def waits_for_disk(self, root: str, path: str) -> bool:
        """Tell whether an upload still waits for a folder, "" is the root, or for a file."""
        row = self._db.execute(
            "SELECT 1 FROM transfers WHERE state = 'ready' AND error_kind = ?1 AND root = ?2"
            f" AND ({_BELOW} OR ?3 = CASE folder WHEN '' THEN name ELSE folder || '/' || name END) LIMIT 1",
            [ErrorKind.LOCAL_IO, self._db.root_id(root), path],
        ).fetchone()
        return row is not None

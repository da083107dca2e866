"""Remembers local files that the sidecar itself deletes, so that nobody takes it for a removal.

A file that is being deleted, or was, is no longer counted by listings (``core/file_states.py``). One that is
seen again is present like any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sidecar.core.file_states import FileEvent
from sidecar.core.model import State, Transfer
from sidecar.journal.db.connection import JournalConnection
from sidecar.journal.db.file_conditions import IS_BEING_DELETED, IS_PRESENT, knows, state_after
from sidecar.journal.db.rows import FROM_TRANSFERS, identity_of, split, transfer_from
from sidecar.journal.db.store import Store, transaction

from .transfers import Transfers

OF_FILE = "JOIN files f ON f.root = t.root AND f.folder = t.folder AND f.name = t.name AND f.transfer = t.id"


class LocalDeletion(Store):
    """From ``synced`` to a file that need not lie here any longer."""

    def __init__(self, db: JournalConnection, transfers: Transfers) -> None:
        super().__init__(db)
        self._transfers = transfers

    def deletable(self, *, after: int, before_ms: int, limit: int) -> tuple[Sequence[Transfer], int | None]:
        """Return files, among ``limit`` ids, that are synced and older than ``before_ms`` (wall time).

        Also the id to go on after, None at the end. ``identity`` is the file's newest, which may be later
        than its content's. It counts for the age, too: a file that was made again begins anew.
        """
        rows = self._db.execute(
            f"{FROM_TRANSFERS} {OF_FILE} WHERE t.id > ? AND t.id <= ? AND t.state = 'synced'"
            f" AND t.synced_ms <= ? AND {IS_PRESENT} AND f.ctime_ns <= ? * 1000000 ORDER BY t.id",
            [after, after + limit, before_ms, before_ms],
        ).fetchall()
        more = self._db.execute("SELECT 1 FROM transfers WHERE id > ? LIMIT 1", [after + limit]).fetchone()
        return [self._as_seen(transfer_from(row)) for row in rows], after + limit if more else None

    def deletions_begun(self) -> Sequence[Transfer]:
        """Return the files whose deletion the last process did not see to its end."""
        rows = self._db.execute(f"{FROM_TRANSFERS} {OF_FILE} WHERE {IS_BEING_DELETED}")
        return [transfer_from(row) for row in rows.fetchall()]

    @transaction
    def begin_deletion(self, row_id: int) -> bool:
        """Note the intent, before anything is deleted. False: it is not what it was any more."""
        transfer = self._transfers.find(row_id)
        if transfer is None or transfer.state is not State.SYNCED:
            return False
        return self._mark(transfer, FileEvent.DELETION_BEGUN) == 1

    @transaction
    def deleted(self, row_id: int) -> None:
        """Note that the sidecar has deleted the file."""
        transfer = self._transfers.one(row_id)
        self._mark(transfer, FileEvent.DELETED)
        self._spare(transfer)
        self._transfers.record(transfer, "deleted locally", transfer.state)

    @transaction
    def kept(self, row_id: int) -> None:
        """Note that the file stays after all, or that somebody else took it: listings find out which."""
        self._mark(self._transfers.one(row_id), FileEvent.KEPT)

    def _as_seen(self, transfer: Transfer) -> Transfer:
        place = (self._db.root_id(transfer.root), *split(transfer.path))
        row = self._db.execute("SELECT * FROM files WHERE (root, folder, name) = (?, ?, ?)", place).fetchone()
        return replace(transfer, identity=identity_of(row))

    def _spare(self, transfer: Transfer) -> None:
        """Spare the file, also if newer content comes and goes: the sidecar's own deletion is no removal."""
        self._db.execute(
            "UPDATE files SET spared = 1 WHERE (root, folder, name) = (?, ?, ?)",
            [self._db.root_id(transfer.root), *split(transfer.path)],
        )

    def _mark(self, transfer: Transfer, event: FileEvent) -> int:
        """Take a step, unless the file was seen meanwhile, or has newer content; return how many took it."""
        place = (self._db.root_id(transfer.root), *split(transfer.path))
        cursor = self._db.execute(
            f"UPDATE files SET absent = {state_after(event)}"
            f" WHERE (root, folder, name) = (?, ?, ?) AND transfer = ? AND {knows(event)}",
            [*place, transfer.row_id],
        )
        self._transfers.end_slot(transfer.route.slot.digest)
        return int(cursor.rowcount)

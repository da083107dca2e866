"""Keeps the clean-up tasks: what a superseded or vanished transfer may have left at S3 is to be removed.

A clean-up task is journaled when nobody works on its transfer any more, so that an abort never races with its
own upload. Carrying one out is idempotent.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field

from sidecar.core.errors import ErrorKind
from sidecar.core.model import State, Transfer
from sidecar.core.states import Event
from sidecar.journal.db.connection import JournalConnection, Topic
from sidecar.journal.db.rows import UNTIL_RECHECKED
from sidecar.journal.db.store import Store, transaction

from .transfers import Transfers

ANNOUNCED = "s3://"  # the root of what was in S3 before, whoever put it there
ONLY_RECHECKED = "delete_object = 0 AND upload_id IS NULL"


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanupTask:
    """The object ``key`` is to be deleted, or ``upload_id`` and what else is open under the key be aborted.

    Without an ID: Create's answer was lost, or Create may have been carried out twice. ``looked_ms`` is when
    (wall) it was first seen that it is to be looked at again.
    """

    id: int
    delete_object: bool
    key: str
    upload_id: str | None
    transfer_id: str
    looked_ms: int | None = field(default=None, compare=False)


class Cleanup(Store):
    """Whoever supersedes a transfer adds tasks; the upload stage carries them out."""

    def __init__(self, db: JournalConnection, transfers: Transfers) -> None:
        super().__init__(db)
        self._transfers = transfers

    @transaction
    def claim_cleanup(self, *, limit: int, now: float) -> list[CleanupTask]:
        """Return clean-ups that are due, oldest first. They are idempotent, so nobody leases them."""
        rows = self._db.execute("SELECT * FROM debts WHERE due <= ? ORDER BY id LIMIT ?", [now, limit])
        return [_cleanup_task(row) for row in rows]

    @transaction
    def add_recheck(self, row_id: int) -> CleanupTask:
        """Let what a Create that was given up may yet open be rechecked, whatever becomes of its transfer."""
        self._add_rechecks("id = ?", row_id)
        transfer = self._transfers.one(row_id).transfer_id
        row = self._db.execute(
            f"SELECT * FROM debts WHERE transfer = ? AND {ONLY_RECHECKED}", [transfer]
        ).fetchone()
        return _cleanup_task(row)

    @transaction
    def rechecks(self) -> list[CleanupTask]:
        """Return the tasks that are only rechecked, also of Creates whose process ended before the answer."""
        self._add_rechecks("may_upload = 1 AND upload_id IS NULL")
        return [
            _cleanup_task(row)
            for row in self._db.execute(f"SELECT * FROM debts WHERE {ONLY_RECHECKED} ORDER BY id")
        ]

    @transaction
    def complete_cleanup(self, task_id: int) -> None:
        """Done: S3 holds nothing of it any more."""
        self._db.execute("DELETE FROM debts WHERE id = ?", [task_id])

    @transaction
    def postpone_cleanup(self, task_id: int, *, due: float) -> None:
        """Not done: the task is due again at ``due`` (monotonic seconds)."""
        self._db.execute("UPDATE debts SET due = ? WHERE id = ?", [due, task_id])

    @transaction
    def leave_to_rechecks(self, task_id: int) -> None:
        """Never due in this process: looking at it again settles it (``upload/cleanup/rechecks.py``)."""
        self._db.execute(
            "UPDATE debts SET due = ?, looked_ms = coalesce(looked_ms, ?) WHERE id = ?",
            [UNTIL_RECHECKED, self._db.clock.wall_ms(), task_id],
        )

    def owed_deletions(self, keys: Sequence[str]) -> set[str]:
        """Return which of these objects are to be deleted already."""
        rows = self._db.execute(
            "SELECT key FROM debts WHERE delete_object = 1 AND key IN (SELECT value FROM json_each(?))",
            [json.dumps(keys)],
        )
        return {row["key"] for row in rows}

    @transaction
    def hasten_cleanup(self) -> None:
        """The daemon is to stop: no task waits for its time, except for those that are only rechecked."""
        self._db.execute("UPDATE debts SET due = 0 WHERE due > 0 AND due < ?", [UNTIL_RECHECKED])
        self._db.topics.add(Topic.CLEANUP)

    @transaction
    def add_key_cleanup(self, key: str, *, transfer_id: str, upload_id: str | None = None) -> None:
        """Journal that the object ``key`` of ``transfer_id`` is to be deleted, or its open upload aborted."""
        self._db.execute(
            "INSERT INTO debts (delete_object, key, upload_id, transfer) VALUES (?, ?, ?, ?)",
            [upload_id is None, key, upload_id, transfer_id],
        )
        self._db.topics.add(Topic.CLEANUP)

    def is_deleting(self) -> bool:
        """Tell whether some object is still to be deleted for the first time."""
        row = self._db.execute(
            "SELECT 1 FROM debts WHERE delete_object = 1 AND due < ? LIMIT 1", [UNTIL_RECHECKED]
        ).fetchone()
        return row is not None

    # -- inside a transaction of another method ----------------------------------------------------

    def supersede(self, transfer: Transfer, why: str) -> None:
        """-> superseded; what it left at S3 is a clean-up task as soon as nobody works on it.

        A dead letter whose last call failed may have reached Convex: its object stays.
        """
        if transfer.state is State.DEAD and self._may_reach_convex(transfer):
            self._db.execute("UPDATE transfers SET may_object = 0 WHERE id = ?", [transfer.row_id])
        self._transfers.advance(transfer, Event.SUPERSEDED, why)
        self._db.execute("DELETE FROM outbox WHERE transfer = ?", [transfer.row_id])
        leased = self._db.execute("SELECT lease FROM transfers WHERE id = ?", [transfer.row_id]).fetchone()
        if not leased["lease"]:
            self.add_cleanup(transfer)

    def add_cleanup_of_others(self, transfer: Transfer) -> None:
        """A Create that was carried out twice, or took an ID back that it gave, left another one open."""
        if transfer.part_bytes is not None and transfer.transfer_id in transfer.key:
            self.add(transfer, delete_object=False, upload_id=None)

    def add_cleanup(self, transfer: Transfer) -> None:
        """Journal the clean-up of what a transfer may have left at S3, once."""
        row = self._transfers.one(transfer.row_id)
        self.add_upload_cleanup(row)
        self.add_object_cleanup(row)

    def add_upload_cleanup(self, transfer: Transfer) -> None:
        """Journal the abort of the upload that a transfer may have open, once; its parts are forgotten."""
        if transfer.may_upload:
            self.add(transfer, delete_object=False, upload_id=transfer.upload_id)
        self._db.execute(
            "UPDATE transfers SET may_upload = 0, upload_id = NULL, part_bytes = NULL WHERE id = ?",
            [transfer.row_id],
        )
        self._db.execute("DELETE FROM parts WHERE transfer = ?", [transfer.row_id])

    def add_object_cleanup(self, transfer: Transfer) -> None:
        """Journal the deletion of the object that a transfer may have made, once."""
        # An older row of Convex names a recalled one; a fixed key holds newer content.
        recalled = transfer.known_content is not None and transfer.known_content.key == transfer.key
        if transfer.may_object and transfer.transfer_id in transfer.key and not recalled:
            self.add(transfer, delete_object=True, upload_id=None)
        self._db.execute("UPDATE transfers SET may_object = 0 WHERE id = ?", [transfer.row_id])

    def add(self, transfer: Transfer, *, delete_object: bool, upload_id: str | None) -> None:
        """Journal one clean-up task of a transfer."""
        self._db.execute(
            "INSERT INTO debts (delete_object, key, upload_id, transfer) VALUES (?, ?, ?, ?)",
            [delete_object, transfer.key, upload_id, transfer.transfer_id],
        )
        self._db.topics.add(Topic.CLEANUP)

    def is_own_upload(self, transfer: Transfer) -> bool:
        """Tell whether a transfer made its object itself, in this bucket: nobody else named it before."""
        recalled = transfer.known_content is not None and transfer.known_content.key == transfer.key
        is_ours = not transfer.root.startswith(ANNOUNCED) and transfer.bucket == self._db.bucket
        return transfer.may_object and is_ours and not recalled

    def _may_reach_convex(self, letter: Transfer) -> bool:
        """Tell whether an op died of a failed call, and not of Convex's refusal."""
        row = self._db.execute("SELECT died_in FROM transfers WHERE id = ?", [letter.row_id]).fetchone()
        return row["died_in"] == State.UPLOADED and letter.error_kind in set(ErrorKind)

    def _add_rechecks(self, condition: str, *values: int) -> None:
        """Add a task, one for each transfer, that never falls due: only rechecks settle it.

        One that is there begins anew: another Create may be on its way since.
        """
        now_ms = self._db.clock.wall_ms()
        self._db.execute(
            f"UPDATE debts SET looked_ms = ? WHERE {ONLY_RECHECKED}"
            f" AND transfer IN (SELECT transfer FROM transfers t WHERE {condition})",
            [now_ms, *values],
        )
        self._db.execute(
            "INSERT INTO debts (delete_object, key, upload_id, transfer, due, looked_ms)"
            f" SELECT 0, key, NULL, transfer, ?, ? FROM transfers t WHERE {condition}"
            f" AND NOT EXISTS (SELECT 1 FROM debts d WHERE d.transfer = t.transfer AND {ONLY_RECHECKED})",
            [UNTIL_RECHECKED, now_ms, *values],
        )


def _cleanup_task(row: sqlite3.Row) -> CleanupTask:
    return CleanupTask(
        id=row["id"],
        delete_object=bool(row["delete_object"]),
        key=row["key"],
        upload_id=row["upload_id"],
        transfer_id=row["transfer"],
        looked_ms=row["looked_ms"],
    )

"""Keeps what S3 is owed: the clean-up of what a superseded or vanished transfer may have left there.

A debt is journaled when nobody works on its transfer any more, so that an abort never races with its
own upload; paying one is idempotent.
"""

from __future__ import annotations

import math
import sqlite3
from dataclasses import dataclass

from sidecar.core.errors import ErrorKind
from sidecar.core.model import State, Transfer
from sidecar.core.states import Event

from .base import Topic, transaction
from .discovering import Discovering


@dataclass(frozen=True, slots=True, kw_only=True)
class Debt:
    """A clean-up owed to S3: delete the object ``key``, or abort ``upload_id`` and what else is open there.

    Without an ID: Create's answer was lost, or it may have been carried out twice.
    """

    id: int
    delete_object: bool
    key: str
    upload_id: str | None
    transfer: str


IN_DOUBT = "delete_object = 0 AND upload_id IS NULL"


class Debts(Discovering):
    """Made by whoever overtakes a transfer, paid by the upload stage."""

    @transaction
    def claim_debts(self, *, limit: int, now: float) -> list[Debt]:
        """Return clean-ups that are due, oldest first. They are idempotent, so nobody leases them."""
        rows = self.db.execute("SELECT * FROM debts WHERE due <= ? ORDER BY id LIMIT ?", [now, limit])
        return [_debt(row) for row in rows]

    @transaction
    def doubt(self, transfer_id: int) -> Debt:
        """Owe the looks at what a Create that was given up may yet open, whatever becomes of its transfer."""
        self._doubt("id = ?", transfer_id)
        transfer = self.one(transfer_id).transfer
        row = self.db.execute(f"SELECT * FROM debts WHERE transfer = ? AND {IN_DOUBT}", [transfer]).fetchone()
        return _debt(row)

    @transaction
    def in_doubt(self) -> list[Debt]:
        """Return such debts, also of Creates whose process ended before it was answered."""
        self._doubt("may_upload = 1 AND upload_id IS NULL")
        return [_debt(row) for row in self.db.execute(f"SELECT * FROM debts WHERE {IN_DOUBT} ORDER BY id")]

    @transaction
    def settle_debt(self, debt_id: int) -> None:
        """Done: S3 holds nothing of it any more."""
        self.db.execute("DELETE FROM debts WHERE id = ?", [debt_id])

    @transaction
    def postpone_debt(self, debt_id: int, *, due: float) -> None:
        """Not done: come back at ``due`` (monotonic seconds)."""
        self.db.execute("UPDATE debts SET due = ? WHERE id = ?", [due, debt_id])

    @transaction
    def hasten_debts(self) -> None:
        """The daemon is to stop: no clean-up waits for its time, but those that only a look settles."""
        self.db.execute("UPDATE debts SET due = 0 WHERE due > 0 AND due < ?", [math.inf])
        self.topics.add(Topic.DEBTS)

    # -- inside a transaction of another method ----------------------------------------------------

    def overtake(self, transfer: Transfer, why: str) -> None:
        """-> superseded; what it left at S3 is a debt as soon as nobody works on it.

        A dead letter whose last call failed may have reached Convex: its object stays.
        """
        if transfer.state is State.DEAD and self._may_be_told(transfer):
            self.db.execute("UPDATE transfers SET may_object = 0 WHERE id = ?", [transfer.id])
        self.advance(transfer, Event.OVERTAKEN, why)
        self.db.execute("DELETE FROM outbox WHERE transfer = ?", [transfer.id])
        leased = self.db.execute("SELECT lease FROM transfers WHERE id = ?", [transfer.id]).fetchone()
        if not leased["lease"]:
            self.owe(transfer)

    def _may_be_told(self, letter: Transfer) -> bool:
        """Tell whether an op died of a failed call, not of Convex's own word on it."""
        row = self.db.execute("SELECT died_in FROM transfers WHERE id = ?", [letter.id]).fetchone()
        return row["died_in"] == State.UPLOADED and letter.error_kind in set(ErrorKind)

    def aim_one(self, transfer: Transfer) -> None:
        """Let a transfer that S3 does not hold go to the settings' bucket, if it was meant for another."""
        if transfer.bucket == self.bucket:
            return
        self.db.execute("DELETE FROM parts WHERE transfer = ?", [transfer.id])
        self.db.execute(
            "UPDATE transfers SET bucket = ?, upload_id = NULL, part_bytes = NULL, may_upload = 0,"
            " may_object = 0, failures = 0, due = 0 WHERE id = ?",
            [self.bucket, transfer.id],
        )
        detail = f"s3.bucket is {self.bucket} now, and was {transfer.bucket}"
        self.record(transfer, "aimed anew", transfer.state, detail)

    def _owe_others(self, transfer: Transfer) -> None:
        """A Create that was carried out twice, or took an ID back that it gave, left another one open."""
        if transfer.part_bytes is not None and transfer.transfer in transfer.key:
            self._add(transfer, delete_object=False, upload_id=None)

    def owe(self, transfer: Transfer) -> None:
        """Journal the clean-up of what a transfer may have left at S3, once."""
        row = self.one(transfer.id)
        self.owe_upload(row)
        self.owe_object(row)

    def owe_upload(self, transfer: Transfer) -> None:
        """Journal the abort of the upload that a transfer may have open, once; its parts are forgotten."""
        if transfer.may_upload:
            self._add(transfer, delete_object=False, upload_id=transfer.upload_id)
        self.db.execute(
            "UPDATE transfers SET may_upload = 0, upload_id = NULL, part_bytes = NULL WHERE id = ?",
            [transfer.id],
        )
        self.db.execute("DELETE FROM parts WHERE transfer = ?", [transfer.id])

    def owe_object(self, transfer: Transfer) -> None:
        """Journal the deletion of the object that a transfer may have made, once."""
        # An older row of Convex names a recalled one; a fixed key holds newer content.
        recalled = transfer.recall is not None and transfer.recall.key == transfer.key
        if transfer.may_object and transfer.transfer in transfer.key and not recalled:
            self._add(transfer, delete_object=True, upload_id=None)
        self.db.execute("UPDATE transfers SET may_object = 0 WHERE id = ?", [transfer.id])

    def _doubt(self, condition: str, *values: int) -> None:
        """Not due: only the looks at it settle it. Once a transfer."""
        self.db.execute(
            "INSERT INTO debts (delete_object, key, upload_id, transfer, due)"
            f" SELECT 0, key, NULL, transfer, ? FROM transfers t WHERE {condition}"
            f" AND NOT EXISTS (SELECT 1 FROM debts d WHERE d.transfer = t.transfer AND {IN_DOUBT})",
            [math.inf, *values],
        )

    def _add(self, transfer: Transfer, *, delete_object: bool, upload_id: str | None) -> None:
        self.db.execute(
            "INSERT INTO debts (delete_object, key, upload_id, transfer) VALUES (?, ?, ?, ?)",
            [delete_object, transfer.key, upload_id, transfer.transfer],
        )
        self.topics.add(Topic.DEBTS)


def _debt(row: sqlite3.Row) -> Debt:
    return Debt(
        id=row["id"],
        delete_object=bool(row["delete_object"]),
        key=row["key"],
        upload_id=row["upload_id"],
        transfer=row["transfer"],
    )

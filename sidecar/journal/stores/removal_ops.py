"""Takes an asset back: a removal's op on its way to Convex's answer, and how it is withdrawn.

Until the op was sent, whatever is seen of the slot withdraws the removal, also one that was asked about.
From then on the removed content counts as gone: a file that returns is a new transfer, whose op comes after.
The answer makes the slot's transfers `gone`.

A removal that Convex refuses is no dead letter. The asset is as it was, ``/status`` names it, and `confirm`
tries again. Only the producer of what a slot shows can empty it: where another sidecar took the slot over
the answer is `stale`. A scene whose assets were all removed is `pending`, and its session does not wait for
it; one that keeps some stays what its facts say.
"""

from __future__ import annotations

import sqlite3

from sidecar.core.file_states import FileEvent
from sidecar.core.model import Transfer
from sidecar.core.ops import OpKind, OpOutcome, OpResult
from sidecar.core.removal import RemovalState
from sidecar.core.states import Event
from sidecar.journal.db.connection import JournalConnection, Topic
from sidecar.journal.db.file_conditions import knows
from sidecar.journal.db.rows import FROM_TRANSFERS, transfer_from
from sidecar.journal.db.store import Store

from .outbox import Outbox
from .transfers import Transfers

DELETED = frozenset({"SCENE_DELETED", "SESSION_DELETED"})


class RemovalOps(Store):
    """Inside transactions of other methods."""

    def __init__(self, db: JournalConnection, transfers: Transfers, outbox: Outbox) -> None:
        super().__init__(db)
        self._transfers, self._outbox = transfers, outbox

    def withdraw_removal(self, slot: str, why: str) -> None:
        """Forget a slot's removal, unless Convex may know of it."""
        row = self._db.execute("SELECT * FROM removals WHERE slot = ?", [slot]).fetchone()
        if row is None or self.is_retracted(slot):
            return
        self._db.execute(
            "DELETE FROM outbox WHERE slot = ? AND kind = ? AND state = 'pending'", [slot, OpKind.REMOVE]
        )
        self.forget_removal(row)
        transfer = self._transfers.find(row["transfer"])
        if transfer is not None and row["state"] != RemovalState.ASKED:
            self._transfers.record(transfer, "removal withdrawn", transfer.state, why)

    def is_retracted(self, slot: str) -> bool:
        """Tell whether Convex was asked to remove the slot's asset, and has not answered."""
        row = self._db.execute(
            "SELECT 1 FROM outbox WHERE slot = ? AND kind = ? AND state = 'sent'", [slot, OpKind.REMOVE]
        ).fetchone()
        return row is not None

    def enqueue_removal(self, row: sqlite3.Row, transfer: Transfer) -> None:
        """Put a removal's op into the outbox."""
        self._db.execute(
            "UPDATE removals SET state = ?, error = NULL WHERE id = ?", [RemovalState.OWED, row["id"]]
        )
        self._outbox.enqueue_of_asset(OpKind.REMOVE, transfer)
        self._transfers.record(transfer, "removal owed", transfer.state)

    def settle_removal(self, op: sqlite3.Row, result: OpResult) -> None:
        """Convex does not show the asset any more, or never did: forget the file; its object may be next.

        Another sidecar's content (stale) stays, and so does the object that it took the place of.
        """
        if result.outcome is OpOutcome.REJECTED and result.code not in DELETED:
            self.refuse_removal(
                op, f"Convex refused it: {result.message or result.code or 'no reason given'}"
            )
            return
        self._db.execute("DELETE FROM outbox WHERE seq = ?", [op["seq"]])
        removal = self._db.execute("SELECT * FROM removals WHERE slot = ?", [op["slot"]]).fetchone()
        transfer = self._transfers.find(op["transfer"])
        if removal is None or transfer is None:
            return
        self.forget_removal(removal)
        self._db.execute(
            f"DELETE FROM files WHERE slot = ? AND transfer = ? AND {knows(FileEvent.REMOVED)}",
            [op["slot"], transfer.row_id],
        )
        self._remove_until(transfer, result.message or result.outcome)
        version = result.version or transfer.version
        if removal["delete_object"] and result.outcome is not OpOutcome.STALE and version is not None:
            self._db.execute("INSERT OR REPLACE INTO expiries VALUES (?, ?)", [transfer.row_id, version])
            self._db.topics.add(Topic.EXPIRIES)
        self._db.gathered.touch(transfer.route.slot.session_id, transfer.route.scene_id)

    def refuse_removal(self, op: sqlite3.Row, why: str) -> None:
        """Note that Convex keeps the asset: people see that, and may confirm the removal once more."""
        self._db.execute("DELETE FROM outbox WHERE seq = ?", [op["seq"]])
        self._db.execute(
            "UPDATE removals SET state = ?, error = ? WHERE slot = ?",
            [RemovalState.REFUSED, why, op["slot"]],
        )
        transfer = self._transfers.find(op["transfer"])
        if transfer is not None:
            self._transfers.record(transfer, "removal refused", transfer.state, why)

    def forget_removal(self, removal: sqlite3.Row) -> None:
        """Drop a removal's row."""
        self._db.execute("DELETE FROM removals WHERE id = ?", [removal["id"]])

    def _remove_until(self, last: Transfer, detail: str) -> None:
        """-> gone, with the older versions of its slot."""
        rows = self._db.execute(
            f"{FROM_TRANSFERS} WHERE t.slot = ? AND t.id <= ? AND t.state = 'synced' ORDER BY t.id",
            [last.route.slot.digest, last.row_id],
        ).fetchall()
        for row in rows:
            self._db.execute(
                "UPDATE transfers SET error_kind = NULL, error_message = NULL WHERE id = ?", [row["id"]]
            )
            self._transfers.advance(transfer_from(row), Event.REMOVED, detail)

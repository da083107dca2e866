"""Settles removals that were not simply made: by an operator, by a changed setting; and their objects.

Files that are gone are counted in ``removals.py``; an op's way is in ``removal_ops.py``.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping

from sidecar.core.file_states import FileEvent
from sidecar.core.model import Transfer
from sidecar.core.ops import OpKind
from sidecar.core.removal import Expiry
from sidecar.journal.db.connection import JournalConnection
from sidecar.journal.db.file_conditions import knows, state_after
from sidecar.journal.db.rows import split
from sidecar.journal.db.store import Store, transaction

from .cleanup import Cleanup
from .removal_ops import RemovalOps
from .removals import PAGE
from .transfers import Transfers


class RemovalDecisions(Store):
    """From a question to an op, or to nothing; from an op to a clean-up task."""

    def __init__(
        self, db: JournalConnection, transfers: Transfers, removal_ops: RemovalOps, cleanup: Cleanup
    ) -> None:
        super().__init__(db)
        self._transfers, self._removal_ops, self._cleanup = transfers, removal_ops, cleanup

    @transaction
    def confirm_removals(self, *, root: str | None = None, path: str = "", after: int = 0) -> list[int]:
        """Remove what was asked about, or refused, at and below a path: a page; returns their numbers."""
        rows = self._undecided(root, path, after)
        for row in rows:
            transfer = self._transfers.find(row["transfer"])
            if transfer is None:
                self._removal_ops.forget_removal(row)
            else:
                self._removal_ops.enqueue_removal(row, transfer)
        return [row["id"] for row in rows]

    @transaction
    def dismiss_removals(self, *, root: str | None = None, path: str = "", after: int = 0) -> list[int]:
        """Keep what was asked about, or refused, at and below a path: a page; returns their numbers."""
        rows = self._undecided(root, path, after)
        for row in rows:
            self._dismiss(row)
        return [row["id"] for row in rows]

    @transaction
    def drop_undecided_removals(self, *, watched: Collection[str]) -> bool:
        """Keep what Convex was not asked yet, but for these roots; True: call it again.

        Others are not watched any more, or `removal` is keep by now.
        """
        numbers = [self._db.root_id(root) for root in watched]
        rows = self._db.execute(
            f"SELECT * FROM removals x WHERE root NOT IN ({','.join('?' * len(numbers))})"
            " AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.slot = x.slot"
            "  AND o.kind = 'remove' AND o.state = 'sent') LIMIT ?",
            [*numbers, PAGE],
        ).fetchall()
        for row in rows:
            self._dismiss(row)
        return len(rows) == PAGE

    # -- objects, once Convex has given their assets up --------------------------------------------

    def expiries(self, *, limit: int) -> list[Expiry]:
        """Return the versions that Convex is to mark as expired, oldest first."""
        rows = self._db.execute("SELECT * FROM expiries ORDER BY transfer LIMIT ?", [limit]).fetchall()
        return [Expiry(transfer=self._transfers.one(row["transfer"]), version=row["version"]) for row in rows]

    @transaction
    def settle_expiries(self, marked: Mapping[int, bool]) -> None:
        """Let the objects of versions that are marked be deleted; the others are still shown by somebody."""
        for row_id, is_marked in marked.items():
            self._db.execute("DELETE FROM expiries WHERE transfer = ?", [row_id])
            transfer = self._transfers.one(row_id)
            if is_marked and self._is_nobody_elses(transfer):
                self._cleanup.add(transfer, delete_object=True, upload_id=None)
                self._transfers.record(transfer, "object given up", transfer.state)
            else:
                self._transfers.record(
                    transfer, "object kept", transfer.state, "a version of its slot still names it"
                )

    # -- inside a transaction ----------------------------------------------------------------------

    def _dismiss(self, removal: sqlite3.Row) -> None:
        self._db.execute(
            "DELETE FROM outbox WHERE slot = ? AND kind = ? AND state = 'pending'",
            [removal["slot"], OpKind.REMOVE],
        )
        self._removal_ops.forget_removal(removal)
        self._db.execute(  # a file that is there by now, or that we delete, is passed over
            f"UPDATE files SET absent = {state_after(FileEvent.DISMISSED)}, spared = 1"
            f" WHERE (root, folder, name) = (?, ?, ?) AND {knows(FileEvent.DISMISSED)}",
            [removal["root"], removal["folder"], removal["name"]],
        )
        transfer = self._transfers.find(removal["transfer"])
        if transfer is not None:
            self._transfers.record(transfer, "removal dismissed", transfer.state)

    def _undecided(self, root: str | None, path: str, after: int) -> list[sqlite3.Row]:
        folder, name = split(path)
        return self._db.execute(
            "SELECT * FROM removals WHERE state IN ('asked', 'refused') AND id > ?7"
            " AND (?1 IS NULL OR root = ?1)"
            " AND (?2 = '' OR (folder = ?3 AND name = ?4) OR folder = ?2"
            "  OR substr(folder, 1, ?5) = ?2 || '/')"
            " ORDER BY id LIMIT ?6",
            [
                None if root is None else self._db.root_id(root),
                path,
                folder,
                name,
                len(path) + 1,
                PAGE,
                after,
            ],
        ).fetchall()

    def _is_nobody_elses(self, transfer: Transfer) -> bool:
        """Tell whether no other row needs the object.

        A key without the transfer's id is used again; one found in S3 alone is an older row's, too.
        """
        known_content = transfer.known_content
        older = (
            known_content is not None and known_content.key == transfer.key and known_content.version is None
        )
        return transfer.transfer_id in transfer.key and not older

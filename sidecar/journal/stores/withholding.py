"""Takes back what was on its way and is withheld now: files that a playlist names, pieces beside one.

``stream_pieces.py`` says when. Only that of which nothing was sent is taken back.
"""

from __future__ import annotations

from collections.abc import Mapping

from sidecar.core.file_states import FileState
from sidecar.core.model import State, Transfer
from sidecar.core.states import Event
from sidecar.journal.db.connection import JournalConnection
from sidecar.journal.db.rows import join, split
from sidecar.journal.db.store import Store, transaction

from .completion import Completion
from .transfers import Transfers

_ON_THE_WAY = {State.DISCOVERED, State.READY}
_COUNTED_APART = {State.DEAD, State.ABANDONED}  # an account counts it by its transfer
_UNSENT = "t.lease = 0 AND t.may_upload = 0 AND t.may_object = 0"


class Withholding(Store):
    """From a row on its way to no row at all."""

    def __init__(self, db: JournalConnection, transfers: Transfers, completion: Completion) -> None:
        super().__init__(db)
        self._transfers, self._completion = transfers, completion

    def unsent(self, root: str, folder: str) -> list[tuple[int, str]]:
        """Return id and path of videos at or below a folder of which nothing was sent yet."""
        rows = self._db.execute(
            "SELECT id, folder, name FROM transfers t WHERE root = ?1 AND state IN ('discovered', 'ready')"
            f" AND asset_type IN ('video_chunk', 'combined_video') AND {_UNSENT}"
            " AND (?2 = '' OR folder = ?2 OR substr(folder, 1, ?3) = ?2 || '/')",
            [self._db.root_id(root), folder, len(folder) + 1],
        )
        return [(row["id"], join(row["folder"], row["name"])) for row in rows]

    @transaction
    def withhold(self, transfers: Mapping[int, str]) -> list[str]:
        """Drop rows of which nothing was sent, each with its reason; returns their paths."""
        dropped = []
        for row_id, why in transfers.items():
            transfer = self._transfers.find(row_id)
            if transfer is not None and self._is_unsent(transfer):
                self.withhold_transfer(transfer, why)
                dropped.append(transfer.path)
        return dropped

    @transaction
    def withhold_files(self, root: str, paths: Mapping[str, str]) -> list[str]:
        """Drop what is on its way of files that are withheld now, each with a reason; returns the paths."""
        dropped = []
        for path, why in paths.items():
            row = self._db.execute(
                "SELECT transfer FROM files WHERE (root, folder, name) = (?, ?, ?)",
                [self._db.root_id(root), *split(path)],
            ).fetchone()
            transfer = self._transfers.find(row["transfer"]) if row else None
            if transfer is None:
                continue
            if transfer.state is State.ABANDONED:
                self._transfers.advance(transfer, Event.REVIVED, why)
                transfer = self._transfers.one(transfer.row_id)
            if self._is_unsent(transfer):
                self.withhold_transfer(transfer, why)
                dropped.append(path)
        return dropped

    def withheld_now(self, root: str, files: Mapping[str, int | None]) -> dict[str, bool]:
        """Tell which withheld files are on their way no more, and whether each counts as delivered.

        Each comes with its ctime, None where that is not known: a file that is as it was when it was handled
        is what became of it then.
        """
        withheld = {}
        for path, changed_ns in files.items():
            row = self._db.execute(
                "SELECT f.ctime_ns, f.absent, t.state FROM files f LEFT JOIN transfers t ON t.id = f.transfer"
                " WHERE (f.root, f.folder, f.name) = ((SELECT id FROM roots WHERE path = ?), ?, ?)",
                [root, *split(path)],
            ).fetchone()
            if row is None:
                withheld[path] = False
            elif row["state"] not in _ON_THE_WAY and (changed_ns is None or row["ctime_ns"] != changed_ns):
                is_present = FileState(row["absent"]) is FileState.PRESENT
                withheld[path] = is_present and row["state"] not in _COUNTED_APART
        return withheld

    # -- inside a transaction ----------------------------------------------------------------------

    def withhold_transfer(self, transfer: Transfer, why: str) -> None:
        """Drop a transfer's row, and forget how its file looked."""
        self._transfers.advance(transfer, Event.WITHHELD, why)
        self._completion.forget_file(transfer)
        self._transfers.end_slot(transfer.route.slot.digest)

    def _is_unsent(self, transfer: Transfer) -> bool:
        row = self._db.execute(
            f"SELECT 1 FROM transfers t WHERE id = ? AND state IN ('discovered', 'ready') AND {_UNSENT}",
            [transfer.row_id],
        )
        return row.fetchone() is not None

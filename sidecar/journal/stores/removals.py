"""Counts files that are gone for good after full listings, and asks about them where they are too many.

Two listings in a row that do not show a file free its slot. After another look, by which whoever else has the
slot has taken it, it is decided what the absence means (``core/file_states.py``). It means nothing
(``files.spared``) where the listing was made in another place than the last one, where something else bears
the name (a link, a folder), where ``removal`` was keep, and where the sidecar deleted the file.

There is one removal a slot, if the file's content is what the slot's newest transfer is and no other file
has the slot. Its op (`remove`) enters the outbox in the same transaction (``removal_ops.py``). If more than
10 files and 10 % of the root are gone at once (missing, asked about, or removed within ten minutes), all of
them become a question instead: ``/status`` is degraded and says so, the log has one line, ``GET /removals``
lists them, and an operator decides with `sidecar removal confirm | dismiss` for a path or for all
(``removal_decisions.py``). What is dismissed is spared.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from dataclasses import dataclass

from sidecar.core.file_states import FileEvent, FileState, step
from sidecar.core.model import State, Transfer
from sidecar.core.removal import MassRemoval, RemovalState
from sidecar.journal.db.connection import JournalConnection
from sidecar.journal.db.file_conditions import HAS_SLOT, IS_UNDECIDED, OF_SLOT, knows, state_after
from sidecar.journal.db.rows import join, split
from sidecar.journal.db.store import Store, transaction

from .removal_ops import RemovalOps
from .transfers import Transfers

PAGE = 200
UNFINISHED_STATES = frozenset({State.DISCOVERED, State.READY, State.UPLOADED, State.DEAD, State.ABANDONED})
# With the words by which SQLite sees that the small partial index holds all that is asked for.
_MAY_BE_CONFIRMED = f"{knows(FileEvent.CONFIRMED)} AND {IS_UNDECIDED}"
_MAY_BE_DECIDED = f"{knows(FileEvent.DECIDED)} AND {IS_UNDECIDED}"


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluatedPage:
    """One page of absent files: how many removals were begun, or asked about, and where to go on."""

    enqueued: int
    asked: int
    after: str | None  # a path; None: that was the last page


class Removals(Store):
    """From a file that is not there to an op, or to a question."""

    def __init__(self, db: JournalConnection, transfers: Transfers, removal_ops: RemovalOps) -> None:
        super().__init__(db)
        self._transfers, self._removal_ops = transfers, removal_ops

    @transaction
    def forgive_absence(self, root: str, folders: Collection[str]) -> None:
        """Spare what the last listings did not show of some folders: other folders were in their places."""
        for folder in folders:
            self._db.execute(
                f"UPDATE files SET spared = 1 WHERE root = ?1 AND {IS_UNDECIDED}"
                " AND (?2 = '' OR folder = ?2 OR substr(folder, 1, length(?2) + 1) = ?2 || '/')",
                [self._db.root_id(root), folder],
            )

    @transaction
    def mass_removal(self, root: str, *, anew: bool) -> MassRemoval:
        """Return how much of a root is gone at once. ``anew``: what was removed until now is long ago."""
        number = self._db.root_id(root)
        if anew:
            self._db.execute("UPDATE roots SET removed = 0 WHERE id = ? AND removed > 0", [number])
        row = self._db.execute(
            "SELECT max(coalesce((SELECT removed FROM roots WHERE id = ?1), 0),"
            " (SELECT count(*) FROM removals x JOIN outbox o ON o.slot = x.slot AND o.kind = 'remove'"
            "  WHERE x.root = ?1 AND x.state = 'owed' AND o.state = 'pending'))"
            " + (SELECT count(*) FROM removals WHERE state = 'asked' AND root = ?1)"
            " + (SELECT count(*) FROM files f JOIN transfers t ON t.id = f.transfer WHERE f.root = ?1"
            f"  AND {IS_UNDECIDED} AND f.spared = 0 AND t.state = 'synced') AS gone",
            [number],
        ).fetchone()
        present = self._db.execute("SELECT files FROM present WHERE root = ?", [number]).fetchone()
        return MassRemoval(gone=row["gone"], present=0 if present is None else present["files"])

    def has_absences(self, root: str) -> bool:
        """Tell whether there is anything to evaluate: what is not in Convex yet still waits."""
        row = self._db.execute(
            "SELECT 1 FROM files f LEFT JOIN transfers t ON t.id = f.transfer WHERE f.root = ?"
            f" AND {_MAY_BE_DECIDED}"
            " AND (f.spared OR t.state IS NULL OR t.state IN ('synced', 'superseded', 'gone')) LIMIT 1",
            [self._db.root_id(root)],
        )
        return row.fetchone() is not None

    @transaction
    def evaluate_absences(self, root: str, *, after: str, ask: bool, delete_object: bool) -> EvaluatedPage:
        """Begin the removal of files that are gone, or ask about them, a page at a time.

        One whose last content is not in Convex yet waits. ``after`` is the path before the page, "" at first.
        """
        rows = self._db.execute(
            # The plus, and the order: else SQLite walks the whole root instead of files_absent.
            f"SELECT * FROM files WHERE root = ? AND +{_MAY_BE_DECIDED}"
            " AND (folder, name) > (?, ?) ORDER BY absent, folder, name LIMIT ?",
            [self._db.root_id(root), *split(after), PAGE],
        ).fetchall()
        begun = [self._evaluate(row, ask=ask, delete_object=delete_object) for row in rows]
        number = sum(begun)
        if not ask:
            self._db.execute(
                "UPDATE roots SET removed = removed + ? WHERE id = ?", [number, self._db.root_id(root)]
            )
        last = join(rows[-1]["folder"], rows[-1]["name"]) if len(rows) == PAGE else None
        return EvaluatedPage(enqueued=0 if ask else number, asked=number if ask else 0, after=last)

    @transaction
    def confirm_absence(self, root: str) -> bool:
        """Two listings did not show these files, and a third one begins; True: call it again."""
        moved = self._db.execute(
            f"UPDATE files SET absent = {state_after(FileEvent.CONFIRMED)}"
            " FROM (SELECT folder AS its_folder, name AS its_name FROM files"
            f"  WHERE root = ?1 AND {_MAY_BE_CONFIRMED} LIMIT ?2)"
            " WHERE root = ?1 AND folder = its_folder AND name = its_name",
            [self._db.root_id(root), 10 * PAGE],
        )
        return moved.rowcount == 10 * PAGE

    # -- inside a transaction ----------------------------------------------------------------------

    def _settle_absence(self, row: sqlite3.Row) -> None:
        """Let nothing more follow from it."""
        self._db.execute(
            "UPDATE files SET absent = ? WHERE (root, folder, name) = (?, ?, ?)",
            [step(FileState(row["absent"]), FileEvent.DECIDED), row["root"], row["folder"], row["name"]],
        )

    def _evaluate(self, row: sqlite3.Row, *, ask: bool, delete_object: bool) -> int:
        newest = self._transfers.find(row["transfer"])
        if newest is not None and newest.state in UNFINISHED_STATES and not row["spared"]:
            return 0
        if row["spared"] or newest is None or not self._is_last_of_slot(row, newest):
            self._settle_absence(row)
            return 0
        self._settle_absence(row)
        state = RemovalState.ASKED if ask else RemovalState.OWED
        inserted = self._db.execute(
            "INSERT OR IGNORE INTO removals"
            " (slot, transfer, root, folder, name, state, delete_object, noticed_ms)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                row["slot"],
                newest.row_id,
                row["root"],
                row["folder"],
                row["name"],
                state,
                int(delete_object),
                self._db.clock.wall_ms(),
            ],
        )
        if not ask and inserted.rowcount:
            removal = self._db.execute("SELECT * FROM removals WHERE slot = ?", [row["slot"]]).fetchone()
            self._removal_ops.enqueue_removal(removal, newest)
        return inserted.rowcount

    def _is_last_of_slot(self, row: sqlite3.Row, newest: Transfer) -> bool:
        """Tell whether Convex shows this file's content, and no other file or newer content has its slot."""
        if newest.state is not State.SYNCED or self._removal_ops.is_retracted(row["slot"]):
            return False
        other = self._db.execute(
            f"SELECT 1 FROM files WHERE {OF_SLOT} AND {HAS_SLOT} AND (root, folder, name) <> (?, ?, ?)",
            [row["slot"], row["root"], row["folder"], row["name"]],
        ).fetchone()
        newer = self._transfers.of_slot(newest, "t.state NOT IN ('superseded', 'gone') AND t.id > ?", limit=1)
        return other is None and not newer

"""Forgets rows that are over, old events and scenes without a file: a little in each transaction.

``transfers.ended_ms`` says since when nothing shows a row (``transfers.py``). What is over since
``journal.keep`` goes, with the rows of files that are gone. So do events older than ``retention.events``,
scenes without a transfer (one whose marker counts chunks stays twelve times as long, since forgotten chunks
still count), manifests of sessions without scenes, and playlists of streams that are gone. Settled ops,
parts and clean-up tasks leave at once anyway.

What anybody still needs stays: clean-up tasks, ops, leases, removals, dead letters, and the newest content of
a file that lies here. Two kinds of rows are not bounded: those of a root that is no longer watched, since
nobody looks whether its files are there, and with ``convex.sync: off`` the ops that nobody sends to Convex.

The objects of what is forgotten stay, and only Convex still names them. ``meta.pruned`` therefore remembers
the youngest time from which anything uploaded was forgotten. An object of an older transfer id without a row
is then a *forgotten object*, which reconciling shows and never deletes, even if Convex has lost its rows.
Retention of superseded objects asks Convex alone. Content that comes back after it was forgotten is sent
again, Convex answers which object it keeps, and ours goes.

Free pages beyond an eighth of the file are given back to the disk, 64 in a transaction (0.8 ms of CPU). A
journal that was made before this cannot give any back, and fills its free pages again. The caller sees to it
that the wall clock can be trusted: that S3's clock agrees with it.
"""

from __future__ import annotations

import sqlite3

from sidecar.core.file_states import FileEvent
from sidecar.core.ids import TIME_LENGTH
from sidecar.core.model import State
from sidecar.journal.db.connection import JournalConnection
from sidecar.journal.db.file_conditions import IS_HERE, knows
from sidecar.journal.db.meta import PRUNED
from sidecar.journal.db.open import INCREMENTAL
from sidecar.journal.db.store import Store, transaction

from .counts import Counts
from .transfers import Transfers

STEP_SECONDS = 0.003  # of one transaction, its commit not counted
ROWS_MAX, EVENTS_MAX, SCENES_MAX = 32, 500, 200
PAGES_MAX, SPARE_PAGES_MIN, SPARE_SHARE = 64, 256, 8  # an eighth of the file may be free

_OVER = """
SELECT id, transfer, state, coalesce(size, 0) AS size, slot, lease, may_upload, may_object, uploaded_ms,
  t.state = 'synced' AND EXISTS (SELECT 1 FROM transfers n
    WHERE n.slot = t.slot AND n.id > t.id AND n.state = 'synced') AS replaced
FROM transfers t WHERE t.ended_ms <= ? ORDER BY t.ended_ms LIMIT ?
"""
_NEEDED = f"""
SELECT EXISTS (SELECT 1 FROM debts WHERE transfer = :transfer)
  OR EXISTS (SELECT 1 FROM outbox WHERE transfer = :id)
  OR EXISTS (SELECT 1 FROM removals WHERE transfer = :id)
  OR EXISTS (SELECT 1 FROM expiries WHERE transfer = :id)
  OR EXISTS (SELECT 1 FROM files WHERE slot = :slot AND transfer = :id AND {IS_HERE}) AS needed
"""


class Pruning(Store):
    """What the daemon's housekeeping calls, again and again."""

    def __init__(self, db: JournalConnection, transfers: Transfers, counts: Counts) -> None:
        super().__init__(db)
        self._transfers, self._counts = transfers, counts

    @transaction
    def prune_transfers(self, *, now_ms: int, keep_ms: int) -> int:
        """Forget some transfers that are over since ``keep_ms``, and their files; returns how many it met."""
        deadline, looked = self._db.clock.monotonic() + STEP_SECONDS, 0
        for row in self._db.execute(_OVER, [now_ms - keep_ms, ROWS_MAX]).fetchall():
            self._prune(row, now_ms)
            looked += 1
            if self._db.clock.monotonic() >= deadline:
                break
        if not looked:  # a clock that was ahead must not keep anything for years
            self._db.execute(
                "UPDATE transfers SET ended_ms = ?1 WHERE id IN"
                " (SELECT id FROM transfers WHERE ended_ms > ?1 LIMIT ?2)",
                [now_ms, ROWS_MAX],
            )
        return looked

    @transaction
    def prune_events(self, *, now_ms: int, keep_ms: int) -> int:
        """Forget some events that are older than ``keep_ms``, the oldest first; returns how many."""
        oldest = self._db.execute("SELECT id FROM events ORDER BY id LIMIT ?", [EVENTS_MAX]).fetchall()
        last = oldest[-1]["id"] if oldest else 0
        gone = self._db.execute("DELETE FROM events WHERE id <= ? AND at_ms < ?", [last, now_ms - keep_ms])
        if not gone.rowcount:
            self._db.execute("UPDATE events SET at_ms = ?2 WHERE id <= ?1 AND at_ms > ?2", [last, now_ms])
        return gone.rowcount

    @transaction
    def give_back(self) -> bool:
        """Return some free pages to the disk; False once no more are free than rows to come will fill."""
        pages, free, mode = (
            self._db.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "auto_vacuum")
        )
        if mode != INCREMENTAL or free <= max(SPARE_PAGES_MIN, pages // SPARE_SHARE):
            return False  # a journal from before cannot: it fills its free pages again
        for _ in range(PAGES_MAX):
            self._db.execute("PRAGMA incremental_vacuum(1)")  # of more, Python would carry out one
        return True

    # -- one row ----------------------------------------------------------------------------------

    def _prune(self, row: sqlite3.Row, now_ms: int) -> None:
        is_synced = row["state"] == "synced"
        if is_synced and not row["replaced"] and self._transfers.is_here(row["slot"]):
            self._transfers.end_slot(row["slot"])  # it is not over at all
        elif self._is_needed(row):
            self._db.execute("UPDATE transfers SET ended_ms = ? WHERE id = ?", [now_ms, row["id"]])
        else:
            if row["uploaded_ms"] is not None:  # Convex may have heard of it, whatever became of it then
                self._forget_time(row["transfer"][:TIME_LENGTH])
            self._forget(row)

    def _is_needed(self, row: sqlite3.Row) -> bool:
        left_at_s3 = row["may_upload"] or (row["may_object"] and row["state"] != "synced")
        return bool(row["lease"] or left_at_s3 or self._db.execute(_NEEDED, dict(row)).fetchone()["needed"])

    def _forget(self, row: sqlite3.Row) -> None:
        for statement in (
            f"DELETE FROM files WHERE slot = :slot AND transfer = :id AND {knows(FileEvent.PRUNED)}",
            "DELETE FROM parts WHERE transfer = :id",
            "DELETE FROM transfers WHERE id = :id",
        ):
            self._db.execute(statement, {"slot": row["slot"], "id": row["id"]})
        self._counts.forgotten(State(row["state"]), row["size"])

    def _forget_time(self, time: str) -> None:
        if time > (PRUNED.read(self._db.conn) or ""):
            PRUNED.write(self._db.conn, time)

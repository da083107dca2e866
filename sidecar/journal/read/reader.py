"""Reads the journal on a connection of its own that never blocks the writer (WAL)."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sidecar.core.clock import Clock
from sidecar.core.model import State, Transfer
from sidecar.core.removal import Removal, RemovalState
from sidecar.journal.db.file_conditions import IS_PRESENT
from sidecar.journal.db.rows import (
    FROM_TRANSFERS,
    IS_OPEN,
    IS_OWED,
    TRANSFER_COLUMNS,
    UNTIL_RECHECKED,
    join,
    split,
    transfer_from,
)

NEWEST = "EXISTS (SELECT 1 FROM files f WHERE f.slot = t.slot AND f.transfer = t.id)"
# What was given up counts as long as its file has nothing newer.
UNFINISHED = f"{IS_OPEN} AND (t.state NOT IN ('dead', 'abandoned') OR {NEWEST})"
HISTORY_MAX = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One root's files as the journal has them: how many are there, and how many are still open.

    Of those that are open ``unfinished_present`` are there.
    """

    present: int
    unfinished: dict[State, int] = field(default_factory=dict)
    unfinished_present: dict[State, int] = field(default_factory=dict)


class JournalReader:
    """Answers questions about the last commit. Safe to call from several threads, one at a time."""

    def __init__(self, path: Path, *, clock: Clock, syncing: bool = True) -> None:
        """Open the journal at ``path``, which must exist, for reading only.

        ``syncing`` is False with ``convex.sync: off``: an uploaded file is then finished.
        """
        self._clock, self._syncing = clock, syncing
        self._one_at_a_time = threading.Lock()
        self._db = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, check_same_thread=False
        )
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA busy_timeout = 5000")

    def close(self) -> None:
        """Close the connection. A question that another thread is in the middle of is interrupted first."""
        self._db.interrupt()
        with self._one_at_a_time:
            self._db.close()

    def counts(self) -> Mapping[State, int]:
        """Return the number of transfers by state; an absent state is 0."""
        rows = self._all("SELECT state, transfers FROM counts WHERE transfers > 0")
        return {State(row["state"]): row["transfers"] for row in rows}

    def backlog(self) -> tuple[int, int, float]:
        """Return files, bytes, and age in seconds of the oldest, of what is complete and not delivered."""
        is_pending = "IN ('ready', 'uploaded')" if self._syncing else "= 'ready'"
        totals = self._all(
            "SELECT coalesce(sum(transfers), 0) AS files, coalesce(sum(bytes), 0) AS bytes FROM counts"
            f" WHERE state {is_pending}"
        )[0]
        oldest = self._all(
            f"SELECT min(ready_ms) AS ms FROM transfers t WHERE {IS_OWED} AND state {is_pending}"
        )[0]["ms"]
        age = max(0.0, (self._clock.wall_ms() - oldest) / 1000) if oldest is not None else 0.0
        return totals["files"], totals["bytes"], age

    def assets(
        self, *, session_id: str | None, entity_id: str | None, state: State | None, limit: int, after: int
    ) -> Sequence[Transfer]:
        """Return transfers with an id above ``after``, by id, that match all given filters."""
        filters = {"t.session_id": session_id, "t.entity_id": entity_id, "t.state": state}
        given = {column: value for column, value in filters.items() if value is not None}
        where = "".join(f" AND {column} = ?" for column in given)
        return self._transfers(f"t.id > ?{where} ORDER BY t.id LIMIT ?", [after, *given.values(), limit])

    def dead_letters(self, *, limit: int, after: int) -> Sequence[Transfer]:
        """Return dead letters with an id above ``after``, by id."""
        return self._transfers("t.state = 'dead' AND t.id > ? ORDER BY t.id LIMIT ?", [after, limit])

    def transfers_of(self, root: str, path: str) -> Sequence[Transfer]:
        """Return 20 transfers of one file: the one that it stands for, then the newest first.

        They differ where content came back: what was begun in between is superseded.
        """
        place = [root, *split(path)]
        stands_for = self._transfers(
            "t.id = (SELECT f.transfer FROM files f JOIN roots o ON o.id = f.root"
            " WHERE o.path = ? AND f.folder = ? AND f.name = ?)",
            place,
        )
        rows = self._transfers(
            "r.path = ? AND t.folder = ? AND t.name = ? ORDER BY t.id DESC LIMIT ?", [*place, HISTORY_MAX]
        )
        return [*stands_for, *(row for row in rows if row not in stands_for)][:HISTORY_MAX]

    def events_of(self, row: int) -> Sequence[tuple[int, str, str | None]]:
        """Return (wall ms, event, detail) of one transfer, oldest first."""
        rows = self._all("SELECT at_ms, event, detail FROM events WHERE transfer = ? ORDER BY id", [row])
        return [(event["at_ms"], event["event"], event["detail"]) for event in rows]

    def unfinished(
        self, *, session_id: str | None = None, root: str | None = None, prefix: str = ""
    ) -> Mapping[tuple[str, State], int]:
        """Return unfinished transfers by root and state. ``prefix`` is a folder or a file below ``root``."""
        where, values = _within(session_id, root, prefix)
        rows = self._all(
            "SELECT r.path, t.state, count(*) AS n FROM transfers t JOIN roots r ON r.id = t.root"
            f" WHERE {UNFINISHED}{where} GROUP BY r.path, t.state",
            values,
        )
        return {(row["path"], State(row["state"])): row["n"] for row in rows}

    def unfinished_transfers(
        self, *, session_id: str | None = None, root: str | None = None, prefix: str = "", limit: int
    ) -> Sequence[Transfer]:
        """Return the transfers that ``unfinished`` counts, dead and abandoned ones first."""
        where, values = _within(session_id, root, prefix)
        order = "ORDER BY t.state NOT IN ('dead', 'abandoned'), t.id LIMIT ?"
        return self._transfers(f"{UNFINISHED}{where} {order}", [*values, limit])

    def unfinished_paths(self) -> set[str]:
        """Return where the files of those transfers lie, below whatever root."""
        rows = self._all(f"SELECT t.folder, t.name FROM transfers t WHERE {UNFINISHED}")
        return {join(row["folder"], row["name"]) for row in rows}

    def standing(self) -> Mapping[str, Standing]:
        """Return the journal's side of the account by root. Delivered files cost nothing to count."""
        rows = self._all(
            f"SELECT r.path, t.state, count(*) AS files, total({IS_PRESENT}) AS present FROM transfers t"
            " CROSS JOIN files f ON f.slot = t.slot AND f.transfer = t.id JOIN roots r ON r.id = f.root"
            f" WHERE {IS_OPEN} GROUP BY r.path, t.state"
        )
        there = self._all("SELECT r.path, p.files FROM present p JOIN roots r ON r.id = p.root")
        found = {row["path"]: Standing(present=row["files"]) for row in there}
        for row in rows:
            standing = found.setdefault(row["path"], Standing(present=0))
            standing.unfinished[State(row["state"])] = row["files"]
            standing.unfinished_present[State(row["state"])] = int(row["present"])
        return found

    def delivered(
        self, *, synced: bool = True, session_id: str | None = None, root: str | None = None, prefix: str = ""
    ) -> tuple[int, int]:
        """Return files and bytes whose newest transfer is synced, also those that are gone since.

        ``synced`` is False where the upload is the end.
        """
        done = "t.state = 'synced'" if synced else "t.state IN ('synced', 'uploaded')"
        where, values = _within(session_id, root, prefix)
        row = self._all(
            "SELECT count(*) AS files, coalesce(sum(t.size), 0) AS bytes FROM transfers t"
            f" JOIN roots r ON r.id = t.root WHERE {done} AND {NEWEST}{where}",
            values,
        )[0]
        return row["files"], row["bytes"]

    def has_seen(self, *, session_id: str | None = None, root: str | None = None, prefix: str = "") -> bool:
        """Tell whether anything of a scope was ever taken in: a file, or a marker of a scene."""
        where, values = _within(session_id, root, prefix)
        sql = f"SELECT 1 FROM transfers t JOIN roots r ON r.id = t.root WHERE 1{where} LIMIT 1"
        if self._all(sql, values):
            return True
        marked = "SELECT 1 FROM scenes WHERE session_id = ? LIMIT 1"
        return session_id is not None and bool(self._all(marked, [session_id]))

    def sessions(self, *, limit: int) -> Sequence[str]:
        """Return the ids of sessions of which something is known, in their order."""
        found, after = list[str](), ""
        while len(found) < limit:
            row = self._all("SELECT min(session_id) AS id FROM transfers WHERE session_id > ?", [after])[0]
            if row["id"] is None:
                break
            after = row["id"]
            found.append(after)
        return found

    def pending_cleanup(self) -> int:
        """Return how many clean-ups are due at S3, without those that found nothing to clean so far."""
        return int(self._all("SELECT count(*) AS n FROM debts WHERE due < ?", [UNTIL_RECHECKED])[0]["n"])

    def cleanup_left(self) -> int:
        """Return how many clean-ups are left at S3, with those that are only to be looked at again."""
        return int(self._all("SELECT count(*) AS n FROM debts")[0]["n"])

    def takedowns(self) -> int:
        """Return how many assets are yet to be removed for a program."""
        return int(self._all("SELECT count(*) AS n FROM takedowns")[0]["n"])

    def unmarked_expiries(self) -> int:
        """Return how many versions Convex has still to mark as expired."""
        return int(self._all("SELECT count(*) AS n FROM expiries")[0]["n"])

    def removal_counts(self) -> Mapping[tuple[str, RemovalState], int]:
        """Return the number of removals by root and state that Convex has not acknowledged."""
        rows = self._all(
            "SELECT r.path, x.state, x.n FROM roots r JOIN"
            " (SELECT root, state, count(*) AS n FROM removals GROUP BY state, root) x ON x.root = r.id"
        )
        return {(row["path"], RemovalState(row["state"])): row["n"] for row in rows}

    def removals(self, *, limit: int, after: int) -> Sequence[Removal]:
        """Return removals with an id above ``after``, by id."""
        return self._removals("x.id > ? ORDER BY x.id LIMIT ?", [after, limit])

    def removals_of(self, rows: Sequence[int]) -> Mapping[int, Removal]:
        """Return the removals of these transfers, by the transfer's row."""
        marks = ",".join("?" * len(rows))
        found = self._removals(f"x.transfer IN ({marks})", list(rows))
        return {removal.transfer.row_id: removal for removal in found}

    def unsettled_ops(self) -> int:
        """Return how many ops are to be sent or answered, dead letters not counted."""
        return int(self._all("SELECT count(*) AS n FROM outbox WHERE state <> 'dead'")[0]["n"])

    def _transfers(self, condition: str, values: Sequence[object]) -> list[Transfer]:
        return [transfer_from(row) for row in self._all(f"{FROM_TRANSFERS} WHERE {condition}", values)]

    def _removals(self, condition: str, values: Sequence[object]) -> list[Removal]:
        rows = self._all(
            f"SELECT {TRANSFER_COLUMNS}, x.id AS removal, x.folder AS gone_from, x.name AS gone,"
            " g.path AS gone_root, x.state AS removal_state, x.delete_object, x.noticed_ms, x.error"
            " FROM removals x JOIN roots g ON g.id = x.root"
            f" JOIN transfers t ON t.id = x.transfer JOIN roots r ON r.id = t.root WHERE {condition}",
            values,
        )
        return [
            Removal(
                id=row["removal"],
                root=row["gone_root"],
                path=join(row["gone_from"], row["gone"]),
                state=RemovalState(row["removal_state"]),
                deletes_object=bool(row["delete_object"]),
                noticed_ms=row["noticed_ms"],
                error=row["error"],
                transfer=transfer_from(row),
            )
            for row in rows
        ]

    def _all(self, sql: str, values: Sequence[object] = ()) -> list[sqlite3.Row]:
        with self._one_at_a_time:
            return self._db.execute(sql, values).fetchall()


def _within(session_id: str | None, root: str | None, prefix: str) -> tuple[str, list[object]]:
    where, values = "", list[object]()
    if session_id is not None:
        where, values = where + " AND t.session_id = ?", [*values, session_id]
    if root is not None:
        where, values = where + " AND r.path = ?", [*values, root]
    if prefix:
        folder, name = split(prefix)
        where += " AND ((t.folder = ? AND t.name = ?) OR t.folder = ? OR substr(t.folder, 1, ?) = ?)"
        values += [folder, name, prefix, len(prefix) + 1, f"{prefix}/"]
    return where, values

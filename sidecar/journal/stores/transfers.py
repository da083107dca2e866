"""Keeps the transfers themselves: the one way to advance one, its events, and since when it is over.

A superseded or gone transfer is over by its state. A synced one is over when newer content of its slot is
synced, or when no file of its slot lies here any longer. Its age counts from then (``ended_ms``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import cast

from sidecar.core.ids import transfer_id
from sidecar.core.model import State, StatIdentity, Transfer
from sidecar.core.routing import object_key
from sidecar.core.states import Event, step
from sidecar.journal.db.connection import JournalConnection, Transition
from sidecar.journal.db.file_conditions import IS_HERE, OF_SLOT
from sidecar.journal.db.gathered import Gathered
from sidecar.journal.db.rows import (
    FROM_TRANSFERS,
    TRANSFER_COLUMNS,
    TRANSFERS,
    Column,
    identity_values,
    transfer_from,
)
from sidecar.journal.db.store import Store

from .counts import Counts

UPLOADS_KEPT_MAX = 10_000
# One row of a step of many: its id, transfer id and path for people, session and scene, its bytes before and
# after, what is said of the step, since when it is ready, Convex's version.
StepRow = tuple[int, str, str, str, str | None, int, int, str | None, int | None, int | None]
_new = tuple.__new__  # of a NamedTuple: there are several for each file
_DELIVERING = frozenset({Event.ACKNOWLEDGED, Event.UPLOADED})
_WITH_OLDER = f"""
SELECT {TRANSFER_COLUMNS},
  EXISTS (SELECT 1 FROM transfers o WHERE o.slot = t.slot AND o.id < t.id) AS has_older
FROM {TRANSFERS} WHERE t.id IN (SELECT value FROM json_each(?))
"""


class Transfers(Store):
    """Read, advanced, recorded, ended. All but the reading is part of the caller's transaction."""

    def __init__(self, db: JournalConnection, counts: Counts) -> None:
        super().__init__(db)
        self._counts = counts
        self.uploads_began: dict[int, float] = {}  # monotonic, of what is claimed
        self._uploads_took: dict[int, float] = {}
        self._latest_ms: int | None = None
        db.at_end(self._write_intents)
        db.at_end(self._write_events)

    def one(self, row_id: int) -> Transfer:
        """Return a transfer. Raises LookupError if there is none: a bug in the caller."""
        transfer = self.find(row_id)
        if transfer is None:
            raise LookupError(f"the journal has no transfer {row_id}")
        return transfer

    def some(self, row_ids: Sequence[int]) -> dict[int, Transfer]:
        """Return those that are there, by their rows."""
        rows = self._db.execute(
            f"{FROM_TRANSFERS} WHERE t.id IN (SELECT value FROM json_each(?))", [json.dumps(list(row_ids))]
        )
        return {found.row_id: found for found in map(transfer_from, rows)}

    def find(self, row_id: int) -> Transfer | None:
        """Return a transfer, or None where its row was dropped."""
        self._write_intents(self._db.gathered)
        row = self._db.execute(f"{FROM_TRANSFERS} WHERE t.id = ?", [row_id]).fetchone()
        return transfer_from(row) if row else None

    def with_older(self, row_ids: Sequence[int]) -> dict[int, tuple[Transfer, bool]]:
        """Return transfers, and whether their slots have older ones. Raises LookupError as ``one`` does."""
        rows = self._db.execute(_WITH_OLDER, [json.dumps(row_ids)]).fetchall()
        found = {row["id"]: (transfer_from(row), bool(row["has_older"])) for row in rows}
        if missing := [row_id for row_id in row_ids if row_id not in found]:
            raise LookupError(f"the journal has no transfer {missing}")
        return found

    def of_slot(self, transfer: Transfer, condition: str, limit: int = 1000) -> Sequence[Transfer]:
        """Return other transfers of the same slot, newest first; ``condition`` may hold one ``?``: our id."""
        rows = self._db.execute(
            f"{FROM_TRANSFERS} WHERE t.slot = ? AND {condition} ORDER BY t.id DESC LIMIT ?",
            [transfer.route.slot.digest, transfer.row_id, limit],
        ).fetchall()
        return [transfer_from(row) for row in rows]

    def advance(
        self,
        transfer: Transfer,
        event: Event,
        detail: str | None = None,
        also: Mapping[str, Column] | None = None,
    ) -> State | None:
        """Take one step of the state table; a dropped transfer's row goes. It touches its scene.

        ``also`` are columns that change with it.
        """
        state, now = step(transfer.state, event), also or {}
        if state is None:
            self._db.execute("DELETE FROM transfers WHERE id = ?", [transfer.row_id])
        else:
            is_over = state is State.SUPERSEDED or state is State.GONE
            ended_ms = self.later_ms() if is_over else None
            self._db.execute(_update(*now), [state.value, ended_ms, *now.values(), transfer.row_id])
        size_bytes = cast("int", now.get("size", transfer.size_bytes))
        version = cast("int | None", now.get("version", transfer.version))
        self.stepped(transfer, event, state, detail, size_bytes=size_bytes, version=version)
        return state

    def begin_anew(self, letter: Transfer) -> None:
        """Let a dead letter be sent from the beginning once it is requeued, under an id and a key of its own.

        What it sent before is another's task by then, and must not be met again.
        """
        name = transfer_id(wall_ms=self._db.clock.wall_ms(), chance=self._db.chance(5), tag=self._db.tag)
        self._db.execute(
            "UPDATE transfers SET transfer = ?, key = ?, died_in = ?, etag = NULL, version_id = NULL,"
            " uploaded_ms = NULL, recall = NULL, may_object = 0 WHERE id = ?",
            [name, object_key(letter.route, name), State.READY, letter.row_id],
        )

    def stepped(
        self,
        transfer: Transfer,
        event: Event,
        state: State | None,
        detail: str | None,
        *,
        size_bytes: int,
        version: int | None = None,
    ) -> None:
        """Count the step of a transfer that has ``size_bytes`` now, touch its scene, write the step down."""
        self._counts.stepped(transfer, state, size_bytes=size_bytes)
        self._db.gathered.touch(transfer.route.slot.session_id, transfer.route.scene_id)
        self.record(transfer, event, state, detail, version=version)

    def stepped_alike(
        self, event: Event, before: State, rows: Sequence[StepRow], *, touch: bool = True
    ) -> None:
        """Do as ``stepped`` does for rows that were in one state, and are no video less or more in the next.

        Without ``touch``: nothing that is reported of a scene depends on this step.
        """
        state, gathered = step(before, event), self._db.gathered
        gathered.count(before, transfers=-len(rows), size_bytes=-sum([row[5] for row in rows]))
        if state is not None:
            gathered.count(state, transfers=len(rows), size_bytes=sum([row[6] for row in rows]))
        if touch:
            gathered.touched.update(dict.fromkeys([(row[3], row[4]) for row in rows if row[4] is not None]))
        self.record_alike(event, state, rows)

    def record_alike(self, event: str, state: State | None, rows: Sequence[StepRow]) -> None:
        """Do as ``record`` does for many rows."""
        now_ms, name = self._db.clock.wall_ms(), str(event)
        took = self._uploads_seconds([row[0] for row in rows], event)
        is_end = event in _DELIVERING
        self._db.gathered.events.extend([(now_ms, row[0], name, row[7]) for row in rows])
        self._db.transitions += [
            _new(
                Transition,
                (
                    *(event, transfer_id, path, state, detail),
                    _seconds(ready_ms, now_ms) if is_end and ready_ms is not None else None,
                    *(session_id, size_bytes, version, took.get(row_id) if took else None),
                ),
            )
            for row_id, transfer_id, path, session_id, _, _, size_bytes, detail, ready_ms, version in rows
        ]

    def record(
        self,
        transfer: Transfer,
        event: str,
        state: State | None,
        detail: str | None = None,
        *,
        version: int | None = None,
    ) -> None:
        """Write an event of a transfer, and remember to log it after the commit.

        ``version`` is Convex's, where it is another one than ``transfer`` has.
        """
        self.remember(transfer, event, detail)
        since = None
        if event in _DELIVERING and transfer.ready_ms is not None:
            since = _seconds(transfer.ready_ms, self._db.clock.wall_ms())
        self._db.transitions.append(
            Transition(
                event=event,
                transfer_id=transfer.transfer_id,
                path=transfer.display,
                state=state,
                detail=detail,
                seconds_since_ready=since,
                session=transfer.route.slot.session_id,
                size_bytes=transfer.size_bytes,
                version=transfer.version if version is None else version,
                upload_seconds=self._uploads_seconds([transfer.row_id], event).get(transfer.row_id),
            )
        )

    def bring_news(self, row_ids: Sequence[int]) -> None:
        """Convex may not know these transfers: from here on all is reported of their scenes."""
        of_these = "SELECT DISTINCT session_id, scene_id FROM transfers WHERE id IN ({rows})"
        for scene in self._db.over(of_these, [(row_id,) for row_id in row_ids]):
            self._db.gathered.bring_news(*scene)

    def remember(self, transfer: Transfer, event: str, detail: str | None) -> None:
        """Write an event of a transfer that is not logged."""
        self._db.gathered.events.append((self._db.clock.wall_ms(), transfer.row_id, str(event), detail))

    def abandon(self, transfer: Transfer, why: str) -> None:
        """-> abandoned, with the reason."""
        self.advance(transfer, Event.ABANDONED, why)
        self._db.execute("UPDATE transfers SET error_message = ? WHERE id = ?", [why, transfer.row_id])

    def set_identity(self, transfer: Transfer, identity: StatIdentity) -> Transfer:
        """Remember what a file looked like when its content was handled, in both tables; return it so."""
        self._counts.resized(transfer, identity)
        values = identity_values(identity)
        self._db.execute(
            "UPDATE transfers SET inode = ?, size = ?, mtime_ns = ?, ctime_ns = ? WHERE id = ?",
            [*values, transfer.row_id],
        )
        self._db.execute(
            "UPDATE files SET inode = ?, size = ?, mtime_ns = ?, ctime_ns = ? WHERE (root, folder, name) ="
            " (SELECT root, folder, name FROM transfers WHERE id = ?)",
            [*values, transfer.row_id],
        )
        return replace(transfer, identity=identity)

    def end_slot(self, slot: str) -> None:
        """Note which of a slot's two newest synced transfers are over by now; older ones are already."""
        rows = self._db.execute(
            "SELECT id, ended_ms FROM transfers WHERE slot = ? AND state = 'synced' ORDER BY id DESC LIMIT 2",
            [slot],
        ).fetchall()
        for place, row in enumerate(rows):
            is_over = place > 0 or not self.is_here(slot)
            if is_over != (row["ended_ms"] is not None):
                ended_ms = self.later_ms() if is_over else None
                self._db.execute("UPDATE transfers SET ended_ms = ? WHERE id = ?", [ended_ms, row["id"]])

    def is_here(self, slot: str) -> bool:
        """Tell whether a file of the slot lies here, as far as listings know."""
        row = self._db.execute(
            f"SELECT 1 FROM files WHERE {OF_SLOT} AND {IS_HERE} LIMIT 1", [slot]
        ).fetchone()
        return row is not None

    def later_ms(self) -> int:
        """Return the wall's time, never an earlier one than before: a clock set back makes nothing old."""
        if self._latest_ms is None:
            row = self._db.execute("SELECT at_ms FROM events ORDER BY id DESC LIMIT 1").fetchone()
            self._latest_ms = row["at_ms"] if row else 0
        self._latest_ms = max(self._latest_ms, self._db.clock.wall_ms())
        return self._latest_ms

    def _write_intents(self, gathered: Gathered) -> None:
        """Write all intents at once; a transfer that is read has those of its own transaction."""
        if not gathered.intents:
            return
        row_ids = list(gathered.intents)
        before = self._db.conn.total_changes
        self._db.over("UPDATE transfers SET may_object = 1 WHERE id IN ({rows})", [(one,) for one in row_ids])
        if self._db.conn.total_changes - before < len(row_ids):
            raise LookupError(f"the journal has not all of the transfers {row_ids}")
        gathered.intents.clear()
        if self._db.may_recall:
            self.bring_news(row_ids)

    def _write_events(self, gathered: Gathered) -> None:
        if not gathered.events:
            return
        self._db.insert("INSERT INTO events (at_ms, transfer, event, detail)", gathered.events)
        gathered.events.clear()

    def _uploads_seconds(self, row_ids: Sequence[int], event: str) -> Mapping[int, float | None]:
        """Return how long the uploads took, at their end and once Convex has acknowledged them."""
        if event == Event.ACKNOWLEDGED:
            return {row_id: self._uploads_took.pop(row_id, None) for row_id in row_ids}
        if event != Event.UPLOADED:
            return {}
        now = self._db.clock.monotonic()
        began = {row_id: self.uploads_began.pop(row_id, None) for row_id in row_ids}
        took = {row_id: now - at for row_id, at in began.items() if at is not None}
        self._uploads_took |= took
        while len(self._uploads_took) > UPLOADS_KEPT_MAX:  # an outage of Convex: the oldest are not known
            self._uploads_took.pop(next(iter(self._uploads_took)))
        return took


def _seconds(since_ms: int, now_ms: int) -> float:
    return (now_ms - since_ms) / 1000 if now_ms > since_ms else 0.0


@cache
def _update(*more: str) -> str:
    columns = ", ".join(f"{name} = ?" for name in ("state", "ended_ms", *more))
    return f"UPDATE transfers SET {columns} WHERE id = ?"

"""Begins a transfer: the one place that gives a file its transfer id and its key, or refuses it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

from sidecar.core.file_states import FileEvent
from sidecar.core.ids import transfer_id
from sidecar.core.keys import is_unique
from sidecar.core.model import Observation, State, Transfer
from sidecar.core.routing import object_key
from sidecar.journal.db.connection import JournalConnection, Topic
from sidecar.journal.db.file_conditions import HAS_SLOT, OF_SLOT, state_after
from sidecar.journal.db.rows import candidate, join, route_json, split
from sidecar.journal.db.store import Store

from .counts import Counts
from .removal_ops import RemovalOps
from .scenes import Scenes
from .transfers import Transfers

# Few of a listing's new files are: each row that is read is a turn of its own.
_IS_KNOWN = f"""
EXISTS (SELECT 1 FROM files f WHERE f.root = a.root AND f.folder = a.folder AND f.name = a.name)
  OR EXISTS (SELECT 1 FROM files f WHERE f.fixed_key = a.fixed_key AND {HAS_SLOT})
  OR EXISTS (SELECT 1 FROM removals r WHERE r.slot = a.slot)
"""
_SOMETHING_KNOWN = f"""
WITH a (number, root, folder, name, slot, fixed_key) AS (VALUES {{rows}})
SELECT number, {_IS_KNOWN}
  OR EXISTS (SELECT 1 FROM transfers t CROSS JOIN files f ON f.transfer = t.id
    WHERE t.slot = a.slot AND {HAS_SLOT})
FROM a WHERE number NOT NULL
  AND ({_IS_KNOWN} OR EXISTS (SELECT 1 FROM transfers t WHERE t.slot = a.slot))
"""
INTO_TRANSFERS = (
    "INSERT INTO transfers (transfer, root, folder, name, slot, session_id, entity_id, scene_id,"
    " asset_type, priority, route, state, bucket, key, held, home, discovered_ms"
)
_DISCOVERED = State.DISCOVERED.value
INTO_FILES = "INSERT INTO files (root, folder, name, slot, fixed_key, transfer"


class Unknown(NamedTuple):
    """Which observations are of files, slots and keys that nobody has, and none before them.

    Of ``first`` ones no transfer ever had the slot.
    """

    strange: frozenset[int]
    first: frozenset[int]


class Discovery(Store):
    """From an observation to `discovered`; inside transactions of other methods."""

    def __init__(
        self,
        db: JournalConnection,
        transfers: Transfers,
        scenes: Scenes,
        removal_ops: RemovalOps,
        counts: Counts,
    ) -> None:
        super().__init__(db)
        self._transfers, self._scenes = transfers, scenes
        self._removal_ops, self._counts = removal_ops, counts

    def discover(self, seen: Observation) -> Transfer:
        """Make a file a candidate: a new row in state discovered, which the files table points to."""
        self._removal_ops.withdraw_removal(seen.route.slot.digest, f"{seen.path} is there")
        return self.begin([seen], are_strange=False)[0]

    def nothing_is_known(self, observations: Sequence[Observation]) -> Unknown:
        """Return of which of them nothing is known."""
        asked, taken = list[tuple[Any, ...]](), set[object]()
        for number, seen in enumerate(observations):
            place = (self._db.root_id(seen.root), *split(seen.path))
            slot, fixed = seen.route.slot.digest, fixed_key(seen)
            names = (place, ("slot", slot), ("key", fixed or place))
            if taken.isdisjoint(names):
                asked.append((number, *place, slot, fixed))
            taken.update(names)
        had = dict(map(tuple, self._db.over(_SOMETHING_KNOWN, asked)))
        all_asked = frozenset([row[0] for row in asked])
        known = [number for number, is_known in had.items() if is_known]
        return Unknown(strange=all_asked.difference(known), first=all_asked.difference(had))

    def begin(self, observations: Sequence[Observation], *, are_strange: bool = True) -> list[Transfer]:
        """Make files candidates whose slots have no removal; strange ones have no row yet."""
        if not observations:
            return []
        now_ms = self._db.clock.wall_ms()
        rows = [self.row(seen, _DISCOVERED, now_ms) for seen in observations]
        first = self._db.insert(f"{INTO_TRANSFERS})", rows) + 1 - len(rows)
        begun = [
            candidate(
                row_id=row_id,
                transfer_id=row[0],
                seen=seen,
                bucket=self._db.bucket,
                key=row[13],
                discovered_ms=now_ms,
                awaits_lookup=self._db.is_recovering,
            )
            for row_id, seen, row in zip(itertools.count(first), observations, rows, strict=False)
        ]
        new = [
            (*row[1:5], fixed_key(one), its.row_id)
            for one, row, its in zip(observations, rows, begun, strict=True)
            if are_strange or not self._points_to(its.row_id, one, row[1:4])
        ]
        self._db.insert(f"{INTO_FILES})", new)
        self._counts.began(len(rows), new_files=[row[0] for row in new])
        self._began(begun)
        return begun

    def _began(self, begun: Sequence[Transfer]) -> None:
        """Write it down, and tell the scenes."""
        routes, said = [one.route for one in begun], (0, 0, None, None, None)
        scenes = [(route.project_id, route.slot.session_id, route.scene_id) for route in routes]
        steps = [
            (one.row_id, one.transfer_id, one.display, session_id, scene_id, *said)
            for one, (_, session_id, scene_id) in zip(begun, scenes, strict=True)
        ]
        self._transfers.record_alike("discovered", State.DISCOVERED, steps)
        self._scenes.all_seen(scenes)
        self._db.topics.add(Topic.CANDIDATES)

    def row(self, seen: Observation, state: str, now_ms: int) -> tuple[Any, ...]:
        """Return a new transfer's columns, as INTO_TRANSFERS has them."""
        route, slot = seen.route, seen.route.slot
        name = transfer_id(wall_ms=now_ms, chance=self._db.chance(5), tag=self._db.tag)
        return (
            name,
            self._db.root_id(seen.root),
            *split(seen.path),
            slot.digest,
            slot.session_id,
            slot.entity_id,
            route.scene_id,
            str(slot.asset_type),  # SQLite takes a plain text at once, and asks an Enum whether it is one
            route.priority,
            route_json(route),
            state,
            self._db.bucket,
            object_key(route, name),
            int(self._db.is_recovering),
            seen.home,
            now_ms,
        )

    def _points_to(self, row_id: int, seen: Observation, place: tuple[Any, ...]) -> bool:
        """Let a file that has a row point to its new transfer; tell whether it has one."""
        known = self._db.execute(
            "UPDATE files SET slot = ?, fixed_key = ?, transfer = ?,"
            f" absent = {state_after(FileEvent.SEEN)} WHERE (root, folder, name) = (?, ?, ?)",
            [seen.route.slot.digest, fixed_key(seen), row_id, *place],
        )
        return known.rowcount > 0

    def conflict(self, seen: Observation, place: tuple[int, str, str]) -> str | None:
        """Return why a file is refused: another one has its slot or its key, and is not gone yet."""
        rows = self._db.execute(
            "SELECT r.path AS root, folder, name, slot FROM files f JOIN roots r ON r.id = f.root"
            f" WHERE ({OF_SLOT} OR fixed_key = ?) AND {HAS_SLOT} AND (f.root, folder, name) <> (?, ?, ?)"
            " LIMIT 1",
            [seen.route.slot.digest, fixed_key(seen), *place],
        )
        row = rows.fetchone()
        if row is None:
            return None
        what = "slot" if row["slot"] == seen.route.slot.digest else "object key"
        return f"its {what} belongs to {row['root'].rstrip('/')}/{join(row['folder'], row['name'])}"


def fixed_key(seen: Observation) -> str | None:
    """Return the object key where the template reuses keys, so that two files cannot share one."""
    return None if is_unique(seen.route.key) else object_key(seen.route, "")

"""Begins a transfer: the one place that gives a file its transfer id and its key."""

from __future__ import annotations

from sidecar.core.file_states import FileEvent
from sidecar.core.ids import transfer_id
from sidecar.core.keys import is_unique
from sidecar.core.model import Observation, State, Transfer
from sidecar.core.routing import object_key
from sidecar.journal.db.connection import Topic
from sidecar.journal.db.file_conditions import state_after
from sidecar.journal.db.rows import route_json, split

from .removal_ops import RemovalOps


class Discovery(RemovalOps):
    """From an observation to `discovered`."""

    def discover(self, seen: Observation) -> Transfer:
        """Make a file a candidate: a new row in state discovered, which the files table points to."""
        slot, place = seen.route.slot, (self.root_id(seen.root), *split(seen.path))
        self.withdraw_removal(slot.digest, f"{seen.path} is there")
        name = transfer_id(wall_ms=self.clock.wall_ms(), chance=self.chance(5), tag=self.tag)
        cursor = self.db.execute(
            "INSERT INTO transfers (transfer, root, folder, name, slot, session_id, entity_id, scene_id,"
            " asset_type, priority, route, state, bucket, key, held, home, discovered_ms)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'discovered', ?, ?, ?, ?, ?)",
            [
                name,
                *place,
                slot.digest,
                slot.session_id,
                slot.entity_id,
                seen.route.scene_id,
                slot.asset_type,
                seen.route.priority,
                route_json(seen.route),
                self.bucket,
                object_key(seen.route, name),
                int(self.is_recovering),
                seen.home,
                self.clock.wall_ms(),
            ],
        )
        row_id = int(cursor.lastrowid or 0)
        self.db.execute(
            "INSERT INTO files (root, folder, name, slot, fixed_key, transfer) VALUES (?, ?, ?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET slot = excluded.slot, fixed_key = excluded.fixed_key,"
            f" transfer = excluded.transfer, absent = {state_after(FileEvent.SEEN)}",
            [*place, slot.digest, fixed_key(seen), row_id],
        )
        transfer = self.one(row_id)
        self.record(transfer, "discovered", State.DISCOVERED)
        self.topics.add(Topic.CANDIDATES)
        self._scene_seen(transfer)
        return transfer


def fixed_key(seen: Observation) -> str | None:
    """Return the object key where the template reuses keys, so that two files cannot share one."""
    return None if is_unique(seen.route.key) else object_key(seen.route, "")

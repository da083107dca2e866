"""Takes in files that were complete when they were first looked at: from nothing to `ready` in one step.

Each is written once, and leaves what two steps would leave: both events, counts, what its scene hears.
"""

from __future__ import annotations

from collections.abc import Sequence

from sidecar.core.model import AssetType, Fingerprint, Observation, State
from sidecar.core.states import Event
from sidecar.journal.db.connection import JournalConnection, Topic
from sidecar.journal.db.rows import identity_values, media_json
from sidecar.journal.db.store import Store

from .counts import Counts
from .discovery import INTO_FILES, INTO_TRANSFERS, Discovery, fixed_key
from .scenes import Scenes
from .transfers import StepRow, Transfers

_INTO_TRANSFERS = f"{INTO_TRANSFERS}, ready_ms, inode, size, mtime_ns, ctime_ns, checksum, media)"
_INTO_FILES = f"{INTO_FILES}, inode, size, mtime_ns, ctime_ns)"
_READY = State.READY.value
Found = tuple[Observation, Fingerprint]


class FirstSight(Store):
    """Inside transactions of other methods."""

    def __init__(
        self,
        db: JournalConnection,
        transfers: Transfers,
        scenes: Scenes,
        counts: Counts,
        discovery: Discovery,
    ) -> None:
        super().__init__(db)
        self._transfers, self._scenes = transfers, scenes
        self._counts, self._discovery = counts, discovery

    def take(self, found: Sequence[Found]) -> Sequence[int]:
        """Take in ``plain`` files of slots that never had a transfer; returns their rows."""
        if not found:
            return ()
        now_ms = self._db.clock.wall_ms()
        rows = [
            (
                *self._discovery.row(seen, _READY, now_ms),
                now_ms,
                *identity_values(its.identity),
                its.checksum,
                media_json(its.media),
            )
            for seen, its in found
        ]
        last = self._db.insert(_INTO_TRANSFERS, rows)
        row_ids = range(last + 1 - len(rows), last + 1)
        places = [(row[1:5], row[18:22]) for row in rows]
        files = [
            (*place, fixed_key(seen), row_id, *identity)
            for (place, identity), row_id, (seen, _) in zip(places, row_ids, found, strict=True)
        ]
        self._db.insert(_INTO_FILES, files)
        self._counts.began(len(rows), new_files=[row[1] for row in rows])
        self._tell(found, [(row_id, row[0]) for row_id, row in zip(row_ids, rows, strict=True)])
        return row_ids

    def _tell(self, found: Sequence[Found], names: Sequence[tuple[int, str]]) -> None:
        """Write both steps down, and tell the scenes."""
        begun, complete = list[StepRow](), list[StepRow]()
        for name, (seen, its) in zip(names, found, strict=True):
            route, size_bytes = seen.route, its.size_bytes
            session_id, scene_id = route.slot.session_id, route.scene_id
            step = (*name, f"{seen.root.rstrip('/')}/{seen.path}", session_id, scene_id, 0)
            begun.append((*step, 0, None, None, None))
            complete.append((*step, size_bytes, f"{size_bytes} bytes", None, None))
            if scene_id is not None:
                is_video = route.slot.asset_type is AssetType.VIDEO_CHUNK
                self._db.gathered.arrive(session_id, scene_id, its.identity.mtime_ns, is_first_video=is_video)
        routes = [seen.route for seen, _ in found]
        self._scenes.all_seen([(one.project_id, one.slot.session_id, one.scene_id) for one in routes])
        self._transfers.record_alike("discovered", State.DISCOVERED, begun)
        self._transfers.stepped_alike(Event.COMPLETED, State.DISCOVERED, complete)
        self._db.topics.update((Topic.SCENES, Topic.LOOKUPS if self._db.is_recovering else Topic.UPLOADS))


def is_plain(seen: Observation, fingerprint: Fingerprint) -> bool:
    """Tell whether a file needs no more than that: a manifest, and what goes in parts of its own, does."""
    return seen.route.slot.asset_type is not AssetType.MANIFEST and fingerprint.parts is None

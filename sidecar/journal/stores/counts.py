"""Counts transfers by state, files by root, videos by scene: once for all that a transaction changed.

``/status`` must not count a million rows, and a scene's facts must cost no walk over the scene. Whoever
changes a row's state or size says so here; what is deleted or marked absent of ``files`` a trigger counts.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from sidecar.core.model import AssetType, State, StatIdentity, Transfer
from sidecar.journal.db.connection import JournalConnection
from sidecar.journal.db.gathered import Gathered, VideoSteps
from sidecar.journal.db.store import Store

THERE = frozenset({State.READY, State.UPLOADED, State.SYNCED})  # for a scene that waits for its videos
_COUNTED = """
WITH more (state, transfers, bytes) AS (VALUES {rows})
INSERT INTO counts SELECT state, transfers, bytes FROM more WHERE state NOT NULL
  ON CONFLICT (state) DO UPDATE SET transfers = transfers + excluded.transfers, bytes = bytes + excluded.bytes
"""
_PRESENT = """
INSERT INTO present SELECT value ->> 0, value ->> 1 FROM json_each(?) WHERE true
  ON CONFLICT (root) DO UPDATE SET files = files + excluded.files
"""
# A slot counts once, however many of its transfers are there: now, and before this transaction.
_IS_THERE = (
    "SELECT 1 FROM transfers t WHERE t.slot = j.value ->> 2 AND t.state IN ('ready', 'uploaded', 'synced')"
)
_VIDEOS = f"""
UPDATE scenes SET videos = videos + m.there, videos_dead = videos_dead + m.dead,
  videos_abandoned = videos_abandoned + m.abandoned
FROM (SELECT value ->> 0 AS session, value ->> 1 AS scene,
    sum(EXISTS ({_IS_THERE}) - (value ->> 4 OR EXISTS (
      {_IS_THERE} AND t.id NOT IN (SELECT e.value FROM json_each(j.value, '$[3]') e)))) AS there,
    sum(value ->> 5) AS dead, sum(value ->> 6) AS abandoned
  FROM json_each(?) j GROUP BY 1, 2) AS m
WHERE session_id = m.session AND scene_id = m.scene
"""


class Counts(Store):
    """Part of the caller's transaction, at whose end it is written."""

    def __init__(self, db: JournalConnection) -> None:
        super().__init__(db)
        db.at_end(self._write)

    def began(self, transfers: int, *, new_files: Iterable[int]) -> None:
        """Count transfers that were begun, and those of their files, by root, that were not remembered."""
        self._db.gathered.count(State.DISCOVERED, transfers=transfers, size_bytes=0)
        self._db.gathered.present.update(new_files)

    def stepped(self, transfer: Transfer, state: State | None, *, size_bytes: int) -> None:
        """Count a step to ``state``, None if the row was dropped, from what the row was before.

        ``size_bytes`` is what the row has now.
        """
        self._db.gathered.count(transfer.state, transfers=-1, size_bytes=-transfer.size_bytes)
        if state is not None:
            self._db.gathered.count(state, transfers=1, size_bytes=size_bytes)
        was_and_is_there = transfer.state in THERE and state in THERE
        if transfer.route.slot.asset_type is AssetType.VIDEO_CHUNK and not was_and_is_there:
            self._video_stepped(transfer, state)

    def resized(self, transfer: Transfer, identity: StatIdentity) -> None:
        """Count the bytes that a row has now."""
        self._db.gathered.count(
            transfer.state, transfers=0, size_bytes=identity.size_bytes - transfer.size_bytes
        )

    def forgotten(self, state: State, size_bytes: int) -> None:
        """Count a row that was pruned. A scene counts the video of its slot for ever."""
        self._db.gathered.count(state, transfers=-1, size_bytes=-size_bytes)

    def _video_stepped(self, transfer: Transfer, state: State | None) -> None:
        slot, scene_id = transfer.route.slot, transfer.route.scene_id
        if scene_id is None:
            return
        steps = self._db.gathered.videos.setdefault((slot.session_id, scene_id, slot.digest), VideoSteps())
        steps.add(transfer.row_id, is_there=state in THERE, was_there=transfer.state in THERE)
        steps.dead += (state is State.DEAD) - (transfer.state is State.DEAD)
        steps.abandoned += (state is State.ABANDONED) - (transfer.state is State.ABANDONED)

    def _write(self, gathered: Gathered) -> None:
        if gathered.counts:
            counts = [(state.value, *count) for state, count in gathered.counts.items() if any(count)]
            self._db.over(_COUNTED, counts)
            gathered.counts.clear()
        if gathered.present:
            self._db.execute(_PRESENT, [json.dumps(list(gathered.present.items()))])
            gathered.present.clear()
        videos = [
            [*slot, list(steps.came), steps.went, steps.dead, steps.abandoned]
            for slot, steps in gathered.videos.items()
            if steps.matter
        ]
        gathered.videos.clear()
        if videos:
            self._db.execute(_VIDEOS, [json.dumps(videos)])

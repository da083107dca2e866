"""Keeps what this sidecar knows of each scene, and the facts about it that are to be sent to Convex.

Facts enter the outbox only when they differ from the ones that entered it last, in the transaction that
made them true. A scene is *recalled* if a new journal's first scan found it and nothing new has come to it
since. Of such a scene only the end is reported, because Convex may show it as complete, as the journal before
this one reported it (``recovery.py``).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import lru_cache
from typing import Any

from sidecar.core.model import State
from sidecar.core.ops import OpKind
from sidecar.core.scenes import SceneFacts, SceneKnowledge, derive, is_settled
from sidecar.journal.db.connection import JournalConnection, Topic
from sidecar.journal.db.gathered import Gathered, Scene
from sidecar.journal.db.rows import IS_OPEN
from sidecar.journal.db.store import Store

from .outbox import Outbox

_ABOUT = "t.session_id = s.session_id AND t.scene_id = s.scene_id"
# One state at a time: of two lists SQLite searches all that the longer one finds. In words: with a bound
# value, on which the partial index depends, it is planned anew each time. As cases: each is asked only where
# those before it do not hold.
_OPEN = "".join(
    f" WHEN EXISTS (SELECT 1 FROM transfers t WHERE {_ABOUT} AND t.state = '{state}' AND {IS_OPEN}) THEN 1"
    for state in (State.READY, State.DISCOVERED, State.UPLOADED)
)
# All of its video that is known of is pieces of streams.
_UNPLAYABLE = (
    " WHEN EXISTS (SELECT 1 FROM playlists p WHERE p.session_id = s.session_id AND p.scene_id = s.scene_id)"
    f" OR EXISTS (SELECT 1 FROM transfers t WHERE {_ABOUT} AND t.piece = 2) THEN NOT EXISTS"
    " (SELECT 1 FROM transfers t WHERE t.session_id = s.session_id AND t.entity_id = s.scene_id"
    " AND t.piece <> 2 AND t.asset_type = 'video_chunk' AND t.state IN ('ready', 'uploaded', 'synced'))"
)
_COLUMNS = (
    *("session_id", "scene_id", "project_id", "content_mtime_ns", "complete_mtime_ns", "chunks"),
    *("cancelled_mtime_ns", "quiet", "reported", "videos", "videos_dead", "videos_abandoned", "recalled"),
)
_KNOWN = (*_COLUMNS, "manifest_mtime_ns", "owed", "unplayable")
# What derive needs of some scenes, at a cost that does not grow with the scene's files.
_SCENES = (
    "WITH j (key, session_id, scene_id) AS (VALUES {rows})"
    f" SELECT {', '.join([f's.{column}' for column in _COLUMNS])}, manifest_mtime_ns,"
    f" CASE{_OPEN} ELSE 0 END AS owed, CASE{_UNPLAYABLE} ELSE 0 END AS unplayable"
    " FROM j CROSS JOIN scenes s ON s.session_id = j.session_id AND s.scene_id = j.scene_id"
    " LEFT JOIN sessions ON sessions.session_id = s.session_id ORDER BY j.key"
)

# Content that is complete on disk.
_ARRIVED = """
WITH a (session_id, scene_id, mtime_ns, files, videos) AS (VALUES {rows})
UPDATE scenes SET quiet = 0, change = change + a.files, content_mtime_ns = max(content_mtime_ns, a.mtime_ns),
  videos = scenes.videos + a.videos
FROM a WHERE scenes.session_id = a.session_id AND scenes.scene_id = a.scene_id
"""


class SceneReports(Store):
    """What is known of a scene, and what is reported of it to Convex."""

    def __init__(self, db: JournalConnection, outbox: Outbox) -> None:
        super().__init__(db)
        self._outbox = outbox
        db.at_end(self._report_touched)

    def ensure_scene(self, project_id: str, session_id: str, scene_id: str) -> None:
        """Begin to know a scene, unless it is known."""
        if (session_id, scene_id) in self._db.gathered.known:
            return
        self._db.gathered.known.add((session_id, scene_id))
        self._db.execute(
            "INSERT OR IGNORE INTO scenes (session_id, scene_id, project_id, recalled) VALUES (?, ?, ?, ?)",
            [session_id, scene_id, project_id, int(self._db.is_recovering)],
        )

    def scene(self, session_id: str, scene_id: str | None) -> dict[str, Any] | None:
        """Return a scene's row with what else is known of it, None if it is not known."""
        self._db.write_gathered()
        return next(self._found([(session_id, scene_id)] if scene_id is not None else []), None)

    def knowledge(self, scene: dict[str, Any]) -> SceneKnowledge:
        """Say what derive needs."""
        return SceneKnowledge(
            newest_content_mtime_ns=scene["content_mtime_ns"] or None,
            complete_mtime_ns=scene["complete_mtime_ns"],
            chunks_wanted=scene["chunks"],
            manifest_mtime_ns=scene["manifest_mtime_ns"],
            cancelled_mtime_ns=scene["cancelled_mtime_ns"],
            quiet=bool(scene["quiet"]),
            owed=scene["owed"],
            videos=scene["videos"],
            is_counted=not self._db.has_forerunner,
            videos_dead=scene["videos_dead"],
            videos_abandoned=scene["videos_abandoned"],
            is_unplayable=bool(scene["unplayable"]),
        )

    # -- at the end of each transaction ------------------------------------------------------------

    def _report_touched(self, gathered: Gathered) -> None:
        """Put the facts of scenes into the outbox that changed: all callers touch, none has to report."""
        if gathered.arrivals:
            self._db.over(
                _ARRIVED,
                [(*scene, of.mtime_ns, of.files, of.first_videos) for scene, of in gathered.arrivals.items()],
            )
            gathered.arrivals.clear()
        if gathered.new and self._db.may_recall:
            self._end_recall(gathered)
        if gathered.touched:
            touched = list(gathered.touched)
            gathered.touched.clear()
            for scene in self._found(touched):
                self._report(scene)

    def _end_recall(self, gathered: Gathered) -> None:
        rows = self._db.over(
            "UPDATE scenes SET recalled = 0 WHERE recalled = 1 AND (session_id, scene_id) IN"
            " (VALUES {rows}) RETURNING session_id, scene_id",
            list(gathered.new),
        )
        gathered.new.clear()
        for row in sorted(tuple(row) for row in rows):
            gathered.touch(*row)
        if not rows and not self._db.is_recovering:
            one = self._db.execute("SELECT 1 FROM scenes WHERE recalled = 1 LIMIT 1").fetchone()
            self._db.may_recall = one is not None

    def _found(self, scenes: Sequence[Scene]) -> Iterator[dict[str, Any]]:
        rows = self._db.over(_SCENES, [(number, *scene) for number, scene in enumerate(scenes)])
        return (dict(zip(_KNOWN, row, strict=True)) for row in rows)

    def _report(self, scene: dict[str, Any]) -> None:
        knowledge = self.knowledge(scene)
        facts = derive(knowledge)
        if scene["recalled"] and (self._db.is_recovering or not is_settled(knowledge, facts)):
            return
        text = facts_json(facts)
        if text == scene["reported"] or (scene["reported"] is None and _is_bare(knowledge, facts)):
            return
        self._db.execute(
            "UPDATE scenes SET reported = ?, recalled = 0 WHERE session_id = ? AND scene_id = ?",
            [text, scene["session_id"], scene["scene_id"]],
        )
        if facts.complete:
            self._db.topics.add(Topic.PIECES)
        body = dict(facts.body(scene["scene_id"]))
        if knowledge.chunks_wanted is not None:
            body["expected"] = facts.expected  # None: a marker said so once, and does not hold any more
        self._enqueue_facts(scene["project_id"], scene["session_id"], scene["scene_id"], body)

    def _enqueue_facts(self, project_id: str, session_id: str, scene_id: str, body: dict[str, Any]) -> None:
        slot = f"facts:{session_id}\n{scene_id}"
        self._db.execute("DELETE FROM outbox WHERE slot = ? AND state = 'pending'", [slot])
        self._outbox.enqueue(
            OpKind.FACTS,
            project_id=project_id,
            session_id=session_id,
            scene_id=scene_id,
            slot=slot,
            transfer=None,
            body=body,
        )


@lru_cache(maxsize=64)  # most scenes are told the same, again and again
def facts_json(facts: SceneFacts) -> str:
    """Return what ``scenes.reported`` holds of facts: equal facts have equal texts, also older ones."""
    told = {name: value for name, value in asdict(facts).items() if name != "expected" or value is not None}
    return json.dumps(told, sort_keys=True)


def _is_bare(scene: SceneKnowledge, facts: SceneFacts) -> bool:
    """Tell whether all that is known of a scene is a marker that wants more chunks.

    The scene may have been pruned, and Convex may show it as complete: that is not taken back.
    """
    nothing_came = scene.newest_content_mtime_ns is None and not scene.owed
    return nothing_came and not facts.complete and facts.error is None

"""Keeps what this sidecar knows of each scene, and the facts about it that are to be sent to Convex.

Facts enter the outbox only when they differ from the ones that entered it last, in the transaction that
made them true. A scene is *recalled* if a new journal's first scan found it and nothing new has come to it
since. Of such a scene only the end is reported, because Convex may show it as complete, as the journal before
this one reported it (``recovery.py``).
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from sidecar.core.model import State
from sidecar.core.ops import OpKind
from sidecar.core.scenes import SceneFacts, SceneKnowledge, derive, is_settled
from sidecar.journal.db.connection import JournalConnection, Topic
from sidecar.journal.db.store import Store

from .outbox import Outbox

# The words of the partial index open_by_scene: SQLite uses it only where it finds them.
OPEN_OF_SCENE = (
    "session_id = ? AND scene_id = ? AND state IN ('discovered', 'ready', 'uploaded', 'dead', 'abandoned')"
)


class SceneReports(Store):
    """What is known of a scene, and what is reported of it to Convex."""

    def __init__(self, db: JournalConnection, outbox: Outbox) -> None:
        super().__init__(db)
        self._outbox = outbox

    def report_scene(self, session_id: str, scene_id: str | None) -> None:
        """Put a scene's facts into the outbox if they changed. Part of the caller's transaction."""
        scene = self.scene(session_id, scene_id)
        if scene is None or scene_id is None:
            return
        knowledge = self.knowledge(scene)
        facts = derive(knowledge)
        if scene["recalled"] and (self._db.is_recovering or not is_settled(knowledge, facts)):
            return
        text = facts_json(facts)
        if text == scene["reported"] or (scene["reported"] is None and _is_bare(knowledge, facts)):
            return
        self._db.execute(
            "UPDATE scenes SET reported = ?, recalled = 0 WHERE session_id = ? AND scene_id = ?",
            [text, session_id, scene_id],
        )
        if facts.complete:
            self._db.topics.add(Topic.PIECES)
        self._enqueue_facts(scene["project_id"], session_id, scene_id, facts)

    def scene_has_news(self, row_id: int) -> None:
        """Convex may not know this transfer: from here on all is reported of its scene, whatever is shown."""
        row = self._db.execute(
            "UPDATE scenes SET recalled = 0 WHERE recalled = 1 AND (session_id, scene_id) ="
            " (SELECT session_id, scene_id FROM transfers WHERE id = ?) RETURNING session_id, scene_id",
            [row_id],
        ).fetchone()
        if row is not None:
            self.report_scene(row["session_id"], row["scene_id"])

    def ensure_scene(self, project_id: str, session_id: str, scene_id: str) -> None:
        """Begin to know a scene, unless it is known."""
        self._db.execute(
            "INSERT OR IGNORE INTO scenes (session_id, scene_id, project_id, recalled) VALUES (?, ?, ?, ?)",
            [session_id, scene_id, project_id, int(self._db.is_recovering)],
        )

    def scene(self, session_id: str, scene_id: str | None) -> dict[str, Any] | None:
        """Return a scene's row with its session's manifest, None if it is not known."""
        row = self._db.execute(
            "SELECT s.*, manifest_mtime_ns FROM scenes s LEFT JOIN sessions USING (session_id)"
            " WHERE s.session_id = ? AND scene_id = ?",
            [session_id, scene_id],
        ).fetchone()
        return dict(row) if row else None

    def knowledge(self, scene: dict[str, Any]) -> SceneKnowledge:
        """Gather what derive needs, at a cost that does not grow with the scene's files."""
        session_id, scene_id = scene["session_id"], scene["scene_id"]
        owed = any(
            self._db.execute(
                # One state at a time: of two lists SQLite searches all that the longer one finds. In words:
                # with a bound value, on which the partial index depends, it is planned anew each time.
                f"SELECT 1 FROM transfers WHERE {OPEN_OF_SCENE} AND state = '{state}' LIMIT 1",
                [session_id, scene_id],
            ).fetchone()
            for state in (State.DISCOVERED, State.READY, State.UPLOADED)
        )
        return SceneKnowledge(
            newest_content_mtime_ns=scene["content_mtime_ns"] or None,
            complete_mtime_ns=scene["complete_mtime_ns"],
            chunks_wanted=scene["chunks"],
            manifest_mtime_ns=scene["manifest_mtime_ns"],
            cancelled_mtime_ns=scene["cancelled_mtime_ns"],
            quiet=bool(scene["quiet"]),
            owed=int(owed),
            videos=scene["videos"],
            is_counted=not self._db.has_forerunner,
            videos_dead=scene["videos_dead"],
            videos_abandoned=scene["videos_abandoned"],
            is_unplayable=self._is_unplayable(session_id, scene_id),
        )

    # -- inside a transaction of another method ----------------------------------------------------

    def _is_unplayable(self, session_id: str, scene_id: str) -> bool:
        """Tell whether all of its video that is known of is pieces of streams."""
        streams = self._db.execute(
            "SELECT 1 FROM playlists WHERE session_id = ?1 AND scene_id = ?2 UNION ALL"
            " SELECT 1 FROM transfers WHERE session_id = ?1 AND scene_id = ?2 AND piece = 2 LIMIT 1",
            [session_id, scene_id],
        )
        if streams.fetchone() is None:
            return False
        films = self._db.execute(
            "SELECT 1 FROM transfers WHERE session_id = ? AND entity_id = ? AND piece <> 2"
            " AND asset_type = 'video_chunk' AND state IN ('ready', 'uploaded', 'synced') LIMIT 1",
            [session_id, scene_id],
        )
        return films.fetchone() is None

    def _enqueue_facts(self, project_id: str, session_id: str, scene_id: str, facts: SceneFacts) -> None:
        slot = f"facts:{session_id}\n{scene_id}"
        self._db.execute("DELETE FROM outbox WHERE slot = ? AND state = 'pending'", [slot])
        self._outbox.enqueue(
            OpKind.FACTS,
            project_id=project_id,
            session_id=session_id,
            scene_id=scene_id,
            slot=slot,
            transfer=None,
            body=dict(facts.body(scene_id)),
        )


def facts_json(facts: SceneFacts) -> str:
    """Return what ``scenes.reported`` holds of facts: equal facts have equal texts."""
    return json.dumps(asdict(facts), sort_keys=True)


def _is_bare(scene: SceneKnowledge, facts: SceneFacts) -> bool:
    """Tell whether all that is known of a scene is a marker that wants more chunks.

    The scene may have been pruned, and Convex may show it as complete: that is not taken back.
    """
    nothing_came = scene.newest_content_mtime_ns is None and not scene.owed
    return nothing_came and not facts.complete and facts.error is None

"""Keeps what this sidecar knows of each scene, and the facts about it that Convex is owed.

Facts enter the outbox only when they differ from the ones that entered it last, in the transaction that
made them true. A scene is *recalled* if a new journal's first scan found it and nothing new has come to it
since. Of such a scene only the end is told, because Convex may show it as complete, as the journal before
this one reported it (``recovery.py``).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from sidecar.core.model import State, Transfer
from sidecar.core.ops import OpKind
from sidecar.core.scenes import SceneFacts, SceneKnowledge, derive, is_settled
from sidecar.core.states import Event
from sidecar.journal.db.connection import JournalBase, Topic, transaction
from sidecar.journal.db.rows import FROM_TRANSFERS, transfer_from

# The words of the partial index open_by_scene: SQLite uses it only where it finds them.
OPEN_OF_SCENE = (
    "session_id = ? AND scene_id = ? AND state IN ('discovered', 'ready', 'uploaded', 'dead', 'abandoned')"
)
SCENE_CANCELLED = "its scene was cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenScene:
    """A scene that nothing has completed yet. ``change`` grows with every new content."""

    session_id: str
    scene_id: str
    change: int
    unsettled: bool  # a file of it is still being written or read


class SceneBook(JournalBase):
    """Scenes: noticed, changed, marked, quiet, reported."""

    @transaction
    def mark_scene(
        self,
        *,
        project_id: str,
        session_id: str,
        scene_id: str,
        marker: str,
        mtime_ns: int,
        chunks: int | None = None,
    ) -> None:
        """Take in a `.complete` or `.cancelled` marker (``marker``: "complete" | "cancelled")."""
        if marker not in {"complete", "cancelled"}:
            raise ValueError(f"{marker!r} is no marker")
        self._ensure_scene(project_id, session_id, scene_id)
        before = self._scene(session_id, scene_id)
        self.db.execute(
            f"UPDATE scenes SET {marker}_mtime_ns = ?, chunks = coalesce(?, chunks)"
            " WHERE session_id = ? AND scene_id = ?",
            [mtime_ns, chunks, session_id, scene_id],
        )
        is_written_anew = before is not None and before["cancelled_mtime_ns"] != mtime_ns
        # Once: what is written later is a re-render. In a first scan nobody has looked at the files yet.
        if marker == "cancelled" and is_written_anew and not self.is_recovering:
            self._abandon_incomplete(session_id, scene_id)
        self.report_scene(session_id, scene_id)

    def open_scenes(self) -> list[OpenScene]:
        """Return the scenes whose quiet has to be waited out."""
        rows = self.db.execute(
            "SELECT session_id, scene_id, change,"
            " EXISTS (SELECT 1 FROM transfers t WHERE t.session_id = s.session_id"
            "  AND t.scene_id = s.scene_id AND t.state = 'discovered'"
            "  AND t.state IN ('discovered', 'ready', 'uploaded', 'dead', 'abandoned')) AS unsettled"
            " FROM scenes s WHERE quiet = 0"
        )
        return [
            OpenScene(
                session_id=row["session_id"],
                scene_id=row["scene_id"],
                change=row["change"],
                unsettled=bool(row["unsettled"]),
            )
            for row in rows
        ]

    @transaction
    def quiet_scene(self, session_id: str, scene_id: str, *, change: int) -> None:
        """Nothing new came for complete_after; void if something did after all (``change`` moved)."""
        self.db.execute(
            "UPDATE scenes SET quiet = 1 WHERE session_id = ? AND scene_id = ? AND change = ?",
            [session_id, scene_id, change],
        )
        self.report_scene(session_id, scene_id)

    def report_scene(self, session_id: str, scene_id: str | None) -> None:
        """Put a scene's facts into the outbox if they changed. Part of the caller's transaction."""
        scene = self._scene(session_id, scene_id)
        if scene is None or scene_id is None:
            return
        knowledge = self._knowledge(scene)
        facts = derive(knowledge)
        if scene["recalled"] and (self.is_recovering or not is_settled(knowledge, facts)):
            return
        text = facts_json(facts)
        if text == scene["reported"] or (scene["reported"] is None and _is_bare(knowledge, facts)):
            return
        self.db.execute(
            "UPDATE scenes SET reported = ?, recalled = 0 WHERE session_id = ? AND scene_id = ?",
            [text, session_id, scene_id],
        )
        if facts.complete:
            self.topics.add(Topic.PIECES)
        self._enqueue_facts(scene["project_id"], session_id, scene_id, facts)

    def enqueue(
        self,
        kind: OpKind,
        *,
        project_id: str,
        session_id: str,
        scene_id: str | None,
        slot: str,
        transfer: int | None,
        body: dict[str, Any],
    ) -> None:
        """Add an op to the outbox, in the transaction of the fact that it announces."""
        self.db.execute(
            "INSERT INTO outbox (op_id, kind, state, project_id, session_id, scene_id, slot, transfer, body)"
            " VALUES (?, ?, 'pending', ?, ?, ?, ?, ?, ?)",
            [
                self.chance(16).hex(),
                kind,
                project_id,
                session_id,
                scene_id,
                slot,
                transfer,
                json.dumps(body, ensure_ascii=False, separators=(",", ":")),
            ],
        )
        self.topics.add(Topic.OUTBOX)

    # -- inside a transaction of another method ----------------------------------------------------

    def _scene_seen(self, transfer: Transfer) -> None:
        """A candidate of this scene appeared."""
        slot, scene_id = transfer.route.slot, transfer.route.scene_id
        if scene_id is None:
            return
        self._ensure_scene(transfer.route.project_id, slot.session_id, scene_id)
        if not self.is_recovering:
            self.scene_has_news(transfer.row_id)
        self.report_scene(slot.session_id, scene_id)

    def scene_has_news(self, row_id: int) -> None:
        """Convex may not know this transfer: from here on all is told of its scene, whatever is shown."""
        row = self.db.execute(
            "UPDATE scenes SET recalled = 0 WHERE recalled = 1 AND (session_id, scene_id) ="
            " (SELECT session_id, scene_id FROM transfers WHERE id = ?) RETURNING session_id, scene_id",
            [row_id],
        ).fetchone()
        if row is not None:
            self.report_scene(row["session_id"], row["scene_id"])

    def _scene_changed(self, session_id: str, scene_id: str | None, mtime_ns: int) -> None:
        """New content of this scene is complete on disk."""
        self.db.execute(
            "UPDATE scenes SET quiet = 0, change = change + 1, content_mtime_ns = max(content_mtime_ns, ?)"
            " WHERE session_id = ? AND scene_id = ?",
            [mtime_ns, session_id, scene_id],
        )
        self.topics.add(Topic.SCENES)
        self.report_scene(session_id, scene_id)

    def _manifest_arrived(self, session_id: str, mtime_ns: int) -> None:
        """A session's manifest completes the scenes that have not changed since."""
        self.db.execute(
            "INSERT INTO sessions VALUES (?, ?) ON CONFLICT DO UPDATE"
            " SET manifest_mtime_ns = max(manifest_mtime_ns, excluded.manifest_mtime_ns)",
            [session_id, mtime_ns],
        )
        rows = self.db.execute("SELECT scene_id FROM scenes WHERE session_id = ?", [session_id]).fetchall()
        for row in rows:
            self.report_scene(session_id, row["scene_id"])

    def _abandon_incomplete(self, session_id: str, scene_id: str) -> None:
        """Nobody will finish what a cancelled scene left open: it is not owed. A change revives it."""
        rows = self.db.execute(
            f"{FROM_TRANSFERS} WHERE t.session_id = ? AND t.scene_id = ? AND t.state = 'discovered'"
            " AND t.state IN ('discovered', 'ready', 'uploaded', 'dead', 'abandoned')",
            [session_id, scene_id],
        ).fetchall()
        for row in rows:
            self._abandon(transfer_from(row), SCENE_CANCELLED)

    def _abandon(self, transfer: Transfer, why: str) -> None:
        self.advance(transfer, Event.ABANDONED, why)
        self.db.execute("UPDATE transfers SET error_message = ? WHERE id = ?", [why, transfer.row_id])

    def _ensure_scene(self, project_id: str, session_id: str, scene_id: str) -> None:
        self.db.execute(
            "INSERT OR IGNORE INTO scenes (session_id, scene_id, project_id, recalled) VALUES (?, ?, ?, ?)",
            [session_id, scene_id, project_id, int(self.is_recovering)],
        )

    def _scene(self, session_id: str, scene_id: str | None) -> dict[str, Any] | None:
        row = self.db.execute(
            "SELECT s.*, manifest_mtime_ns FROM scenes s LEFT JOIN sessions USING (session_id)"
            " WHERE s.session_id = ? AND scene_id = ?",
            [session_id, scene_id],
        ).fetchone()
        return dict(row) if row else None

    def _knowledge(self, scene: dict[str, Any]) -> SceneKnowledge:
        """Gather what derive needs, at a cost that does not grow with the scene's files."""
        session_id, scene_id = scene["session_id"], scene["scene_id"]
        owed = any(
            self.db.execute(
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
            is_counted=not self.has_forerunner,
            videos_dead=scene["videos_dead"],
            videos_abandoned=scene["videos_abandoned"],
            is_unplayable=self._is_unplayable(session_id, scene_id),
        )

    def _is_unplayable(self, session_id: str, scene_id: str) -> bool:
        """Tell whether all of its video that is known of is pieces of streams."""
        streams = self.db.execute(
            "SELECT 1 FROM playlists WHERE session_id = ?1 AND scene_id = ?2 UNION ALL"
            " SELECT 1 FROM transfers WHERE session_id = ?1 AND scene_id = ?2 AND piece = 2 LIMIT 1",
            [session_id, scene_id],
        )
        if streams.fetchone() is None:
            return False
        films = self.db.execute(
            "SELECT 1 FROM transfers WHERE session_id = ? AND entity_id = ? AND piece <> 2"
            " AND asset_type = 'video_chunk' AND state IN ('ready', 'uploaded', 'synced') LIMIT 1",
            [session_id, scene_id],
        )
        return films.fetchone() is None

    def _enqueue_facts(self, project_id: str, session_id: str, scene_id: str, facts: SceneFacts) -> None:
        slot = f"facts:{session_id}\n{scene_id}"
        self.db.execute("DELETE FROM outbox WHERE slot = ? AND state = 'pending'", [slot])
        self.enqueue(
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

    The scene may have been pruned, and Convex may show it as complete: that is not unsaid.
    """
    nothing_came = scene.newest_content_mtime_ns is None and not scene.owed
    return nothing_came and not facts.complete and facts.error is None

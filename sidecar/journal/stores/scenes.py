"""Keeps the scenes: noticed, changed, marked, quiet."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sidecar.journal.db.connection import JournalConnection, Topic
from sidecar.journal.db.rows import FROM_TRANSFERS, IS_OPEN, transfer_from
from sidecar.journal.db.store import Store, transaction

from .scene_reports import SceneReports
from .transfers import Transfers

SCENE_CANCELLED = "its scene was cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenScene:
    """A scene that nothing has completed yet. ``change`` grows with every new content."""

    session_id: str
    scene_id: str
    change: int
    unsettled: bool  # a file of it is still being written or read


class Scenes(Store):
    """What happens to a scene; ``scene_reports.py`` reports it to Convex."""

    def __init__(self, db: JournalConnection, transfers: Transfers, scene_reports: SceneReports) -> None:
        super().__init__(db)
        self._transfers, self._scene_reports = transfers, scene_reports

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
        self._scene_reports.ensure_scene(project_id, session_id, scene_id)
        before = self._scene_reports.scene(session_id, scene_id)
        self._db.execute(
            f"UPDATE scenes SET {marker}_mtime_ns = ?, chunks = coalesce(?, chunks)"
            " WHERE session_id = ? AND scene_id = ?",
            [mtime_ns, chunks, session_id, scene_id],
        )
        is_written_anew = before is not None and before["cancelled_mtime_ns"] != mtime_ns
        # Once: what is written later is a re-render. In a first scan nobody has looked at the files yet.
        if marker == "cancelled" and is_written_anew and not self._db.is_recovering:
            self._abandon_incomplete(session_id, scene_id)
        self._db.gathered.touch(session_id, scene_id)

    def open_scenes(self) -> list[OpenScene]:
        """Return the scenes whose quiet has to be waited out."""
        rows = self._db.execute(
            "SELECT session_id, scene_id, change,"
            " EXISTS (SELECT 1 FROM transfers t WHERE t.session_id = s.session_id"
            f" AND t.scene_id = s.scene_id AND t.state = 'discovered' AND {IS_OPEN}) AS unsettled"
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

    def projects(self) -> list[str]:
        """Return the projects of the scenes that the journal knows."""
        rows = self._db.execute("SELECT DISTINCT project_id FROM scenes ORDER BY project_id")
        return [row["project_id"] for row in rows]

    @transaction
    def quiet_scene(self, session_id: str, scene_id: str, *, change: int) -> None:
        """Nothing new came for complete_after: the scene is quiet, unless something did (``change``)."""
        self._db.execute(
            "UPDATE scenes SET quiet = 1 WHERE session_id = ? AND scene_id = ? AND change = ?",
            [session_id, scene_id, change],
        )
        self._db.gathered.touch(session_id, scene_id)

    # -- inside a transaction of another method ----------------------------------------------------

    def all_seen(self, scenes: Iterable[tuple[str, str, str | None]]) -> None:
        """Note that candidates of these appeared: of project, session and, if it is one of a scene, scene."""
        for project_id, session_id, scene_id in dict.fromkeys(scenes):
            if scene_id is None:
                continue
            self._scene_reports.ensure_scene(project_id, session_id, scene_id)
            if not self._db.is_recovering:
                self._db.gathered.bring_news(session_id, scene_id)
            self._db.gathered.touch(session_id, scene_id)

    def scene_changed(self, session_id: str, scene_id: str | None, mtime_ns: int) -> None:
        """Note that new content of this scene is complete on disk."""
        if scene_id is not None:
            self._db.gathered.arrive(session_id, scene_id, mtime_ns)
        self._db.topics.add(Topic.SCENES)
        self._db.gathered.touch(session_id, scene_id)

    def manifest_arrived(self, session_id: str, mtime_ns: int) -> None:
        """Let a session's manifest complete the scenes that have not changed since."""
        self._db.execute(
            "INSERT INTO sessions VALUES (?, ?) ON CONFLICT DO UPDATE"
            " SET manifest_mtime_ns = max(manifest_mtime_ns, excluded.manifest_mtime_ns)",
            [session_id, mtime_ns],
        )
        rows = self._db.execute("SELECT scene_id FROM scenes WHERE session_id = ?", [session_id]).fetchall()
        for row in rows:
            self._db.gathered.touch(session_id, row["scene_id"])

    def _abandon_incomplete(self, session_id: str, scene_id: str) -> None:
        """Abandon what a cancelled scene left open: nobody will finish it. A changed file is revived."""
        rows = self._db.execute(
            f"{FROM_TRANSFERS} WHERE t.session_id = ? AND t.scene_id = ? AND t.state = 'discovered'"
            f" AND {IS_OPEN}",
            [session_id, scene_id],
        ).fetchall()
        for row in rows:
            self._transfers.abandon(transfer_from(row), SCENE_CANCELLED)

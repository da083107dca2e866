"""Forgets scenes of which nothing is left, sessions and playlists; see ``pruning.py``."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection

from sidecar.journal.db.store import Store, transaction

from .pruning import SCENES_MAX

COUNTED_SCENES_KEEP = 12  # times as long: a marker that counts chunks counts those of its earlier files


class ScenePruning(Store):
    """Page by page, again and again."""

    @transaction
    def prune_scenes(self, *, after: tuple[str, str], now_ms: int, keep_ms: int) -> tuple[str, str] | None:
        """Forget scenes without a transfer since ``keep_ms``; returns where to go on, None at the end."""
        self._db.write_gathered()  # what a scene has to report keeps it
        rows = self._db.execute(
            "SELECT * FROM scenes WHERE (session_id, scene_id) > (?, ?)"
            " ORDER BY session_id, scene_id LIMIT ?",
            [*after, SCENES_MAX],
        ).fetchall()
        for row in rows:
            self._prune_scene(row, now_ms, keep_ms)
        return (rows[-1]["session_id"], rows[-1]["scene_id"]) if len(rows) == SCENES_MAX else None

    @transaction
    def prune_sessions(self, *, after: str) -> str | None:
        """Forget manifests of sessions of which nothing else is left; as ``prune_scenes``."""
        rows = self._db.execute(
            "SELECT session_id FROM sessions WHERE session_id > ? ORDER BY session_id LIMIT ?",
            [after, SCENES_MAX],
        ).fetchall()
        for row in rows:
            self._db.execute(
                "DELETE FROM sessions WHERE session_id = ?1"
                " AND NOT EXISTS (SELECT 1 FROM scenes WHERE session_id = ?1)"
                " AND NOT EXISTS (SELECT 1 FROM transfers WHERE session_id = ?1)",
                [row["session_id"]],
            )
        return rows[-1]["session_id"] if len(rows) == SCENES_MAX else None

    @transaction
    def prune_playlists(
        self, *, after: tuple[str, str], needed: Collection[tuple[str, str]]
    ) -> tuple[list[tuple[str, str]], tuple[str, str] | None]:
        """Forget that streams had a playlist: nothing else of them is left here, nor on the disk.

        ``needed`` are those of which something lies there. Returns what was forgotten; the rest as
        ``prune_scenes``.
        """
        rows = self._db.execute(
            "SELECT session_id, scene_id FROM playlists WHERE (session_id, scene_id) > (?, ?)"
            " ORDER BY session_id, scene_id LIMIT ?",
            [*after, SCENES_MAX],
        ).fetchall()
        streams = [(row["session_id"], row["scene_id"]) for row in rows]
        forgotten = [stream for stream in streams if stream not in needed and self._forget_playlist(stream)]
        return forgotten, streams[-1] if len(streams) == SCENES_MAX else None

    # -- one row ----------------------------------------------------------------------------------

    def _prune_scene(self, row: sqlite3.Row, now_ms: int, keep_ms: int) -> None:
        scene, since = [row["session_id"], row["scene_id"]], row["empty_ms"]
        used = self._db.execute(
            "SELECT EXISTS (SELECT 1 FROM transfers WHERE session_id = ?1 AND entity_id = ?2) OR EXISTS"
            " (SELECT 1 FROM outbox WHERE session_id = ?1 AND scene_id = ?2 AND state <> 'dead') AS used",
            scene,
        ).fetchone()["used"]
        waits = used or (row["recalled"] and not row["quiet"])  # its end is still to be reported
        if waits or since is None:
            self._set_empty(scene, since, None if waits else now_ms)
        elif since <= now_ms - keep_ms * (1 if row["chunks"] is None else COUNTED_SCENES_KEEP):
            self._db.execute("DELETE FROM scenes WHERE session_id = ? AND scene_id = ?", scene)

    def _set_empty(self, scene: list[str], before_ms: int | None, since_ms: int | None) -> None:
        if before_ms != since_ms:
            self._db.execute(
                "UPDATE scenes SET empty_ms = ? WHERE session_id = ? AND scene_id = ?", [since_ms, *scene]
            )

    def _forget_playlist(self, stream: tuple[str, str]) -> bool:
        gone = self._db.execute(
            "DELETE FROM playlists WHERE session_id = ?1 AND scene_id = ?2"
            " AND NOT EXISTS (SELECT 1 FROM scenes WHERE session_id = ?1 AND scene_id = ?2)"
            " AND NOT EXISTS (SELECT 1 FROM transfers WHERE session_id = ?1"
            "  AND entity_id = CASE ?2 WHEN '' THEN ?1 ELSE ?2 END)",
            stream,
        )
        return gone.rowcount > 0

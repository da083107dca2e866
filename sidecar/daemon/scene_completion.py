"""Completes scenes that have no marker after ``entities.complete_after`` of quiet.

Quiet is monotonic time and starts anew with the process, like every due time.
"""

from __future__ import annotations

import asyncio

from sidecar.core.clock import Clock
from sidecar.journal.stores.scenes import OpenScene, Scenes
from sidecar.journal.writer import AsyncJournal


class SceneCompletion:
    """Watches the journal's open scenes for content that no longer changes."""

    def __init__(self, *, journal: AsyncJournal, clock: Clock, complete_after_seconds: float) -> None:
        """``complete_after_seconds`` is the quiet that completes a scene."""
        self._journal, self._clock, self._after = journal, clock, complete_after_seconds
        self._since: dict[tuple[str, str], tuple[int, float]] = {}

    async def run(self) -> None:
        """Look at the open scenes some ten times within the quiet, until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(min(5.0, max(0.05, self._after / 10)))

    async def look(self) -> None:
        """Report the scenes whose quiet is long enough by now."""
        scenes = await self._journal.do(Scenes.open_scenes)
        now = self._clock.monotonic()
        self._since = {(s.session_id, s.scene_id): self._quiet_since(s, now) for s in scenes}
        for scene in scenes:
            _, since = self._since[scene.session_id, scene.scene_id]
            if now - since >= self._after:
                await self._journal.do(
                    Scenes.quiet_scene, scene.session_id, scene.scene_id, change=scene.change
                )

    async def finish(self) -> None:
        """Report every open scene as complete: the daemon was asked to stop, and nothing is owed."""
        for scene in await self._journal.do(Scenes.open_scenes):
            await self._journal.do(Scenes.quiet_scene, scene.session_id, scene.scene_id, change=scene.change)

    def _quiet_since(self, scene: OpenScene, now: float) -> tuple[int, float]:
        change, since = self._since.get((scene.session_id, scene.scene_id), (None, now))
        if scene.unsettled or change != scene.change:
            return scene.change, now
        return scene.change, since

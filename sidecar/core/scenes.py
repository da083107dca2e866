"""Derives what a sidecar tells of a scene from what its journal knows.

CONTRACT.md, "Scenes and sessions", says what is promised. Convex derives the scene's status from the facts
of all its sidecars. Facts change rarely: while a scene is not complete they always read the same, however
many transfers come and go, and of what a complete scene is owed they tell only whether it is anything (1) or
nothing (0). The sentence for viewers names no key and repeats no word of a remote's: operators have
`/dead-letters`.

A scene of several sidecars does not wait for one that was silent for 15 minutes in the middle of its work,
as after a takeover. Nobody tells Convex that a sidecar is gone, so Convex looks after each sidecar by its
heartbeat (``renderSidecar/lib/liveness.ts``). What a sidecar said of its own end counts however long it has
been idle since.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneKnowledge:
    """What the journal knows of one scene. All mtimes are nanoseconds of the files; None: not seen.

    ``quiet``: nothing changed for ``entities.complete_after``. ``owed`` counts transfers that are
    neither synced nor aside (superseded, gone, dead, abandoned). The ``videos_*`` counts are slots of
    type video_chunk; dead and abandoned ones are those whose newest transfer is. ``is_counted``: no journal
    before this one has delivered chunks that ``videos`` does not know. ``is_unplayable``: all that is known
    of its video are pieces of HLS or DASH streams, none of them a film: a video is owed.
    """

    newest_content_mtime_ns: int | None = None
    complete_mtime_ns: int | None = None
    chunks_wanted: int | None = None
    manifest_mtime_ns: int | None = None
    cancelled_mtime_ns: int | None = None
    quiet: bool = False
    owed: int = 0
    videos: int = 0
    is_counted: bool = True
    videos_dead: int = 0
    videos_abandoned: int = 0
    is_unplayable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneFacts:
    """The body of a facts op.

    ``owed`` is 1 or 0. ``error`` is a sentence for people, or None. ``reason`` names what completed
    the scene: "marker", "manifest" or "quiet"; None while it is not complete. ``expected`` is how many
    chunks there will be, as a marker says that still holds; None: nobody says.
    """

    complete: bool
    owed: int
    error: str | None
    reason: str | None
    expected: int | None = None

    def body(self, scene_id: str) -> Mapping[str, Any]:
        """Return the op's JSON object, without opId, seq and kind."""
        return {
            "sceneId": scene_id,
            "complete": self.complete,
            "owed": self.owed,
            "error": self.error,
            "reason": self.reason,
            **({} if self.expected is None else {"expected": self.expected}),
        }


def derive(scene: SceneKnowledge) -> SceneFacts:
    """Return the facts to report."""
    reason = _completed_by(scene)
    return SceneFacts(
        complete=reason is not None,
        owed=1 if reason is None or scene.owed or scene.is_unplayable else 0,
        error=_trouble(scene),
        reason=reason,
        expected=scene.chunks_wanted if _counts(scene, scene.complete_mtime_ns) else None,
    )


def is_settled(scene: SceneKnowledge, facts: SceneFacts) -> bool:
    """Tell whether nothing is on its way that may yet change the facts: the scene is complete, or spoilt."""
    return not scene.owed and (facts.complete or facts.error is not None)


def _completed_by(scene: SceneKnowledge) -> str | None:
    """Name what completes the scene.

    A marker that counts and wants more chunks than there are is the renderer's word that more will
    come: the session's manifest overrules it, and quiet only where the chunks cannot be counted.
    """
    if _counts(scene, scene.cancelled_mtime_ns):
        return None
    marked = _counts(scene, scene.complete_mtime_ns)
    if marked and scene.videos >= (scene.chunks_wanted or 0):
        return "marker"
    if _counts(scene, scene.manifest_mtime_ns):
        return "manifest"
    return "quiet" if scene.quiet and not (marked and scene.is_counted) else None


def _counts(scene: SceneKnowledge, mtime_ns: int | None) -> bool:
    """Tell whether a marker or manifest is newer than the scene's last change: a re-render voids it."""
    return mtime_ns is not None and mtime_ns >= (scene.newest_content_mtime_ns or 0)


def _trouble(scene: SceneKnowledge) -> str | None:
    """Return what a viewer reads: no key, path or word of a remote's."""
    if _counts(scene, scene.cancelled_mtime_ns):
        return "Rendering of this scene was cancelled."
    if scene.videos_dead:
        what = "A video" if scene.videos_dead == 1 else f"{scene.videos_dead} videos"
        return f"{what} of this scene could not be delivered."  # why is the operator's: /dead-letters
    if scene.videos_abandoned == 1:
        return "A video of this scene was never finished: its renderer stopped in the middle."
    if scene.videos_abandoned:
        return f"{scene.videos_abandoned} videos of this scene were never finished: their renderer stopped."
    return None

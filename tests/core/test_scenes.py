"""When a scene is complete, and what is said of one that never will be."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.scenes import SceneKnowledge, derive

SCENE = SceneKnowledge(newest_content_mtime_ns=100, videos=2)


@pytest.mark.parametrize(
    ("scene", "reason"),
    [
        (replace(SCENE, complete_mtime_ns=101), "marker"),
        (replace(SCENE, complete_mtime_ns=100), "marker"),
        (replace(SCENE, complete_mtime_ns=101, chunks_wanted=2), "marker"),
        (replace(SCENE, manifest_mtime_ns=101), "manifest"),
        (replace(SCENE, quiet=True), "quiet"),
        (replace(SCENE, quiet=True, complete_mtime_ns=99, chunks_wanted=7), "quiet"),
        (replace(SCENE, manifest_mtime_ns=101, complete_mtime_ns=101, chunks_wanted=7), "manifest"),
        (replace(SCENE, complete_mtime_ns=101, chunks_wanted=3, is_counted=False, quiet=True), "quiet"),
    ],
)
def test_a_marker_a_manifest_or_quiet_completes_a_scene(scene: SceneKnowledge, reason: str) -> None:
    """Each alone suffices; a marker from before a re-render says nothing any more."""
    assert derive(scene).complete
    assert derive(scene).reason == reason
    assert derive(scene).owed == 0
    assert derive(replace(scene, owed=3)) == derive(replace(scene, owed=1))
    assert derive(replace(scene, owed=1)).owed == 1


@pytest.mark.parametrize(
    "scene",
    [
        SCENE,
        replace(SCENE, complete_mtime_ns=99),
        replace(SCENE, manifest_mtime_ns=99),
        replace(SCENE, complete_mtime_ns=101, chunks_wanted=3),
        replace(SCENE, complete_mtime_ns=101, chunks_wanted=3, quiet=True),
        replace(SCENE, complete_mtime_ns=101, chunks_wanted=3, is_counted=False),
        replace(SCENE, cancelled_mtime_ns=101, quiet=True),
    ],
)
def test_a_rerender_or_a_missing_chunk_keeps_a_scene_uploading(scene: SceneKnowledge) -> None:
    """Markers and manifests count only if newer than the content, and a wanted chunk is waited for."""
    assert not derive(scene).complete


def test_a_marker_that_holds_says_how_many_chunks_are_expected() -> None:
    """Also before they are there; one from before a re-render says nothing."""
    marked = replace(SCENE, complete_mtime_ns=101, chunks_wanted=12)
    assert (derive(marked).expected, derive(marked).complete) == (12, False)
    assert derive(marked).body("s")["expected"] == 12
    voided = derive(replace(marked, newest_content_mtime_ns=102))
    assert (voided.expected, "expected" in voided.body("s")) == (None, False)


@given(owed=st.integers(0, 100), videos=st.integers(0, 50))
def test_facts_of_an_unfinished_scene_never_change(owed: int, videos: int) -> None:
    """However many chunks come and go, Convex is told nothing new until the scene is complete."""
    facts = derive(replace(SCENE, owed=owed, videos=videos))
    assert facts == derive(SCENE)
    assert facts.owed == 1


def test_a_dead_video_is_an_error_that_a_person_understands() -> None:
    """In words for viewers, who are told of no key and of no store; a scene can be complete and in error."""
    facts = derive(replace(SCENE, quiet=True, videos_dead=1))
    assert facts.complete
    assert facts.error == "A video of this scene could not be delivered."
    assert derive(replace(SCENE, videos_dead=3)).error == "3 videos of this scene could not be delivered."


def test_an_abandoned_video_is_an_error() -> None:
    """The encoder was killed and nobody went on."""
    facts = derive(replace(SCENE, videos_abandoned=1))
    assert facts.error == "A video of this scene was never finished: its renderer stopped in the middle."
    assert derive(replace(SCENE, videos_abandoned=2)).error


def test_a_cancelled_scene_says_so_until_it_is_rendered_again() -> None:
    """The marker abandons; newer content revives."""
    cancelled = replace(SCENE, cancelled_mtime_ns=200)
    assert derive(cancelled).error == "Rendering of this scene was cancelled."
    assert not derive(replace(cancelled, newest_content_mtime_ns=300)).error


def test_the_body_is_the_wires() -> None:
    """Exactly the keys that the functions validate."""
    assert derive(SCENE).body("intro") == {
        "sceneId": "intro",
        "complete": False,
        "owed": 1,
        "error": None,
        "reason": None,
    }

"""What the application has not made yet: one asks, less and less often, until it is there."""

from __future__ import annotations

from sidecar.core.unknown_entities import (
    ITSELF,
    PAUSE_SECONDS_MAX,
    UnknownEntities,
    dues,
    is_waiting,
    waiting_scenes,
)


def test_who_waits_is_asked_for_less_and_less_often() -> None:
    """After 1, 2, 4 seconds, and never less than twice a minute."""
    unknown, now, pauses = UnknownEntities(), 100.0, []
    for _ in range(8):
        unknown.missed("p/s", ITSELF, "not made", now=now)
        [due] = dues(unknown.now(), now=now)
        assert is_waiting(unknown.of("p/s"), now=due - 0.01)
        assert not is_waiting(unknown.of("p/s"), now=due)
        pauses.append(due - now)
        now = due
    assert pauses == [1, 2, 4, 8, 16, PAUSE_SECONDS_MAX, PAUSE_SECONDS_MAX, PAUSE_SECONDS_MAX]


def test_a_scene_that_is_found_takes_its_session_along_and_no_other_scene() -> None:
    """A scene cannot be where its session is not."""
    unknown = UnknownEntities()
    for scene in (ITSELF, "one", "two"):
        assert unknown.missed("p/s", scene, f"{scene} is not made", now=0.0)
        assert not unknown.missed("p/s", scene, f"{scene} is not made", now=0.0)
    assert unknown.why("p/s", "one") == " is not made"
    assert unknown.found("p/s", "one")
    assert not unknown.found("p/s", "one")
    assert (unknown.why("p/s", "one"), unknown.why("p/s", None)) == (None, None)
    assert unknown.why("p/s", "two") == "two is not made"
    assert waiting_scenes(unknown.of("p/s"), now=0.5) == ["two"]
    assert unknown.found("p/s", "two")
    assert unknown.now() == {}

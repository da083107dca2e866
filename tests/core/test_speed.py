"""How fast bytes go, and how long the rest will take."""

from __future__ import annotations

from sidecar.core.speed import Speed, Speeds, seconds_left


def test_the_speed_is_that_of_the_last_seconds() -> None:
    """What was long ago does not count, and one look tells nothing."""
    speed = Speed(span_seconds=10)
    speed.saw(0, 0)
    assert speed.per_second is None
    for second in range(1, 61):
        speed.saw(100 * second if second <= 30 else 3000 + 10 * (second - 30), second)
    assert speed.per_second == 10


def test_a_number_that_begins_anew_is_no_negative_speed() -> None:
    """As when a daemon was restarted, or an upload began once more."""
    speed = Speed()
    speed.saw(0, 0)
    speed.saw(100, 1)
    speed.saw(10, 2)
    assert speed.per_second is None
    speed.saw(30, 3)
    assert speed.per_second == 20


def test_an_upload_that_is_gone_has_arrived() -> None:
    """The speed of all does not fall when one of them ends; each has its own."""
    speeds = Speeds()
    speeds.saw({"a": (0, 100), "b": (0, 1000)}, 0)
    speeds.saw({"a": (50, 100), "b": (100, 1000)}, 1)
    speeds.saw({"b": (200, 1000)}, 2)
    assert (speeds.of("a"), speeds.of("b"), speeds.total) == (None, 100, 150)
    assert seconds_left(800, speeds.of("b")) == 8
    assert seconds_left(800, None) is None
    assert seconds_left(800, 0.0) is None

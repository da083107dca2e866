"""How long a commit waits for calls that may share it."""

from __future__ import annotations

import pytest

from sidecar.journal.pace import APART_SECONDS, ENOUGH_CALLS, LATELY_SECONDS, MANY_CALLS, Pace


def crowd(pace: Pace, *, until: float) -> None:
    """Let many calls be committed just now."""
    for n in range(4):
        pace.committed(MANY_CALLS // 4, now=until - (3 - n) * LATELY_SECONDS / 8)


def test_a_call_alone_is_committed_at_once() -> None:
    """However often one comes after the other: a step waits for the one before it."""
    pace = Pace()
    for n in range(100):
        now = 10 + n * 0.002
        assert pace.wait_seconds(1, now=now) == 0
        pace.committed(1, now=now + 0.001)


def test_in_a_crowd_a_few_calls_wait_for_others() -> None:
    """Not longer than for a moment since the last commit."""
    pace = Pace()
    crowd(pace, until=10)
    assert pace.wait_seconds(2, now=10 + APART_SECONDS / 4) == pytest.approx(APART_SECONDS * 0.75)
    assert pace.wait_seconds(2, now=10 + APART_SECONDS) == 0


def test_in_a_crowd_many_calls_wait_for_nobody() -> None:
    """They are a crowd themselves."""
    pace = Pace()
    crowd(pace, until=10)
    assert pace.wait_seconds(ENOUGH_CALLS, now=10) == 0


def test_a_crowd_is_over_when_it_has_gone() -> None:
    """What was committed before is forgotten."""
    pace = Pace()
    crowd(pace, until=10)
    assert pace.wait_seconds(1, now=10 + 2 * LATELY_SECONDS) == 0
    pace.committed(1, now=10 + 2 * LATELY_SECONDS)
    assert pace.wait_seconds(1, now=10 + 2 * LATELY_SECONDS) == 0

"""How many calls, and how long ops gather for one."""

from __future__ import annotations

import pytest

from sidecar.sync.concurrency import Concurrency
from sidecar.sync.stage import gather_seconds


@pytest.mark.parametrize(("ops", "seconds"), [(1, 0.02), (5, 0.02), (6, 0.2), (99, 0.2), (100, 0.0)], ids=str)
def test_only_a_burst_is_gathered_for(ops: int, seconds: float) -> None:
    """A thumbnail now and then is told at once; a full batch has more behind it."""
    assert gather_seconds(ops, most=100, wait_seconds=0.2) == seconds


def test_throttling_halves_and_smooth_calls_grow() -> None:
    """Down at once, up slowly."""
    pace = Concurrency(8)
    pace.throttled()
    pace.throttled()
    assert pace.parallel == 2
    for _ in range(20):
        pace.succeeded()
    assert pace.parallel == 3


def test_the_first_call_that_gets_through_says_so() -> None:
    """Whoever waits out a backoff may go: once."""
    pace = Concurrency()
    assert not pace.succeeded()
    pace.throttled()
    assert pace.succeeded()
    assert not pace.succeeded()

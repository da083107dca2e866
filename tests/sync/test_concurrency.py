"""How many calls are in flight."""

from __future__ import annotations

from sidecar.sync.concurrency import Concurrency


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

"""The circuit breaker over named and over arbitrary sequences of events."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sidecar.core import breaker as circuit
from sidecar.core.breaker import Breaker, BreakerPolicy, BreakerState

POLICY = BreakerPolicy(failures=5, reset_seconds=30)


def opened() -> Breaker:
    """Return a breaker that opened at 0."""
    return circuit.refused(Breaker(), POLICY, 0)


def half_open() -> Breaker:
    """Return a breaker whose probe was good at 30."""
    return circuit.probed(opened(), POLICY, 30, good=True)


def test_five_failures_in_a_row_open_it() -> None:
    """Four leave it closed, a success in between starts the count anew."""
    breaker = Breaker()
    for _ in range(4):
        breaker = circuit.failed(breaker, POLICY, 0)
    assert circuit.passes(breaker)
    assert circuit.failed(circuit.succeeded(breaker, 0), POLICY, 0).state is BreakerState.CLOSED
    breaker = circuit.failed(breaker, POLICY, 7)
    assert breaker.state is BreakerState.OPEN
    assert breaker.due == 37
    assert not circuit.passes(breaker)


def test_a_refused_probe_opens_it_at_once() -> None:
    """Wrong credentials need no five tries."""
    assert opened().state is BreakerState.OPEN


def test_after_the_reset_a_good_probe_lets_one_transfer_through() -> None:
    """Half-open: the probe, then one transfer; its success closes."""
    assert not circuit.probe_is_due(opened(), 29.9)
    assert circuit.probe_is_due(opened(), 30)
    breaker = half_open()
    assert circuit.passes(breaker)
    breaker = circuit.admitted(breaker, POLICY, 31)
    assert not circuit.passes(breaker)
    assert circuit.succeeded(breaker, 32) == Breaker()


def test_a_failed_trial_opens_it_again() -> None:
    """And the next probe waits for a full reset."""
    breaker = circuit.failed(circuit.admitted(half_open(), POLICY, 31), POLICY, 40)
    assert breaker.state is BreakerState.OPEN
    assert breaker.due == 70


def test_a_bad_probe_keeps_it_open() -> None:
    """Until the next one is due."""
    breaker = circuit.probed(opened(), POLICY, 30, good=False)
    assert breaker.state is BreakerState.OPEN
    assert breaker.due == 60


def test_stragglers_do_not_postpone_the_probe() -> None:
    """Uploads that time out after it opened change nothing about when it is tested."""
    assert circuit.failed(opened(), POLICY, 29).due == 30


def test_a_straggler_that_succeeds_brings_the_probe_forward() -> None:
    """Something got through: ask at once."""
    assert circuit.probe_is_due(circuit.succeeded(opened(), 5), 5)


def test_recovery_closes_it_although_no_work_comes() -> None:
    """Two good probes and nothing to try: closed, but one failure opens it again."""
    breaker = circuit.probed(half_open(), POLICY, 60, good=True)
    assert breaker.state is BreakerState.CLOSED
    assert circuit.failed(breaker, POLICY, 61).state is BreakerState.OPEN


def test_a_trial_that_never_ends_does_not_block_the_door() -> None:
    """Its task may have been cancelled: after the reset a probe lets the next one go."""
    breaker = circuit.admitted(half_open(), POLICY, 31)
    assert circuit.probe_is_due(breaker, 61)
    breaker = circuit.probed(breaker, POLICY, 61, good=True)
    assert circuit.passes(breaker)
    assert breaker.state is BreakerState.HALF_OPEN


EVENTS = st.sampled_from(["admit", "succeed", "fail", "refuse", "excuse", "good", "bad", "hurry"])


@given(events=st.lists(st.tuples(EVENTS, st.floats(0, 40)), max_size=60))
def test_any_sequence_keeps_the_promises(events: list[tuple[str, float]]) -> None:
    """Closed has no due probe; otherwise one is due within the reset; one trial at a time."""
    breaker, now, in_a_row = Breaker(), 0.0, 0
    for event, seconds in events:
        now += seconds
        before = breaker
        if event == "admit":
            if not circuit.passes(breaker):
                continue
            breaker = circuit.admitted(breaker, POLICY, now)
            assert breaker.on_trial == (before.state is BreakerState.HALF_OPEN)
        elif event == "succeed":
            breaker, in_a_row = circuit.succeeded(breaker, now), 0
        elif event == "fail":
            breaker, in_a_row = circuit.failed(breaker, POLICY, now), in_a_row + 1
            assert breaker.state is not BreakerState.CLOSED or in_a_row < POLICY.failures
        elif event == "refuse":
            breaker = circuit.refused(breaker, POLICY, now)
            assert breaker.state is BreakerState.OPEN
        elif event == "excuse":
            breaker = circuit.excused(breaker)
        elif event == "hurry":
            breaker = circuit.hurried(breaker, now, 1)
            assert breaker.due is None or breaker.due <= now + 1
        elif circuit.probe_is_due(breaker, now):
            breaker = circuit.probed(breaker, POLICY, now, good=event == "good")
        assert (breaker.due is None) == (breaker.state is BreakerState.CLOSED)
        assert breaker.due is None or breaker.due <= now + POLICY.reset_seconds
        assert not (breaker.on_trial and breaker.state is not BreakerState.HALF_OPEN)
        if before.state is BreakerState.OPEN and event != "good":
            assert breaker.state is BreakerState.OPEN

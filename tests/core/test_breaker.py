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


class Story:
    """A breaker through a sequence of events; every method is one."""

    def __init__(self) -> None:
        """Begin closed."""
        self.breaker, self.now, self.in_a_row = Breaker(), 0.0, 0

    def admit(self) -> None:
        """One at a time while half-open."""
        if circuit.passes(self.breaker):
            was_half_open = self.breaker.state is BreakerState.HALF_OPEN
            self.breaker = circuit.admitted(self.breaker, POLICY, self.now)
            assert self.breaker.on_trial == was_half_open

    def succeed(self) -> None:
        """Forget the failures."""
        self.breaker, self.in_a_row = circuit.succeeded(self.breaker, self.now), 0

    def fail(self) -> None:
        """Five in a row never leave it closed."""
        self.breaker, self.in_a_row = circuit.failed(self.breaker, POLICY, self.now), self.in_a_row + 1
        assert self.breaker.state is not BreakerState.CLOSED or self.in_a_row < POLICY.failures

    def refuse(self) -> None:
        """Open at once."""
        self.breaker = circuit.refused(self.breaker, POLICY, self.now)
        assert self.breaker.state is BreakerState.OPEN

    def excuse(self) -> None:
        """Nothing is learnt."""
        self.breaker = circuit.excused(self.breaker)

    def hurry(self) -> None:
        """The next probe is near."""
        self.breaker = circuit.hurried(self.breaker, self.now, 1)
        assert self.breaker.due is None or self.breaker.due <= self.now + 1

    def probe_well(self) -> None:
        """If one is due."""
        if circuit.probe_is_due(self.breaker, self.now):
            self.breaker = circuit.probed(self.breaker, POLICY, self.now, good=True)

    def probe_badly(self) -> None:
        """If one is due."""
        if circuit.probe_is_due(self.breaker, self.now):
            self.breaker = circuit.probed(self.breaker, POLICY, self.now, good=False)


EVENTS = ["admit", "succeed", "fail", "refuse", "excuse", "hurry", "probe_well", "probe_badly"]


@given(events=st.lists(st.tuples(st.sampled_from(EVENTS), st.floats(0, 40)), max_size=60))
def test_any_sequence_keeps_the_promises(events: list[tuple[str, float]]) -> None:
    """Closed has no due probe; otherwise one is due within the reset; only a good probe leaves open."""
    story = Story()
    for event, seconds in events:
        story.now += seconds
        before = story.breaker
        getattr(story, event)()
        after = story.breaker
        assert (after.due is None) == (after.state is BreakerState.CLOSED)
        assert after.due is None or after.due <= story.now + POLICY.reset_seconds
        assert not after.on_trial or after.state is BreakerState.HALF_OPEN
        if before.state is BreakerState.OPEN and event != "probe_well":
            assert after.state is BreakerState.OPEN

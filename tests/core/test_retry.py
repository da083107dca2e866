"""DESIGN.md section 4 as a table: who is to blame, and what it costs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.errors import ErrorKind
from sidecar.core.retry import (
    Again,
    Blame,
    GiveUp,
    ProbeResult,
    RetryPolicy,
    backoff,
    blame,
    decide,
    needs_probe,
)

POLICY = RetryPolicy(initial_seconds=1, max_seconds=60, attempts=3)
GOOD = ProbeResult()
kinds = st.sampled_from(ErrorKind)
probes = st.one_of(st.just(GOOD), kinds.map(lambda kind: ProbeResult(failure=kind)))


@pytest.mark.parametrize("kind", [ErrorKind.THROTTLED, ErrorKind.CONFLICT])
@pytest.mark.parametrize("failures", [0, 2, 50])
def test_throttling_and_conflicts_never_spend_an_attempt(kind: ErrorKind, failures: int) -> None:
    """However often the remote asks for less, the object lives."""
    decision = decide(kind, failures=failures, probe=None, others_succeeded=True, jitter=0.5, policy=POLICY)
    assert isinstance(decision, Again)
    assert not decision.spent


@given(kind=kinds, probe=probes, others=st.booleans(), failures=st.integers(0, 9))
def test_a_redacted_error_never_spends_an_attempt(
    kind: ErrorKind, probe: ProbeResult, others: bool, failures: int
) -> None:
    """A paused deployment looks like a bug in production, so neither kills an asset."""
    decision = decide(
        kind,
        redacted=True,
        failures=failures,
        probe=probe,
        others_succeeded=others,
        jitter=0.1,
        policy=POLICY,
    )
    assert isinstance(decision, Again)
    assert not decision.spent


@pytest.mark.parametrize("kind", [ErrorKind.NETWORK, ErrorKind.UNKNOWN])
@pytest.mark.parametrize(
    ("probe", "others", "fault"),
    [
        (ProbeResult(failure=ErrorKind.NETWORK), True, Blame.REMOTE),
        (ProbeResult(failure=ErrorKind.THROTTLED), True, Blame.REMOTE),
        (ProbeResult(failure=ErrorKind.UNAUTHORIZED), True, Blame.REMOTE_REFUSES),
        (GOOD, False, Blame.REMOTE),
        (GOOD, True, Blame.OBJECT),
    ],
)
def test_a_network_failure_is_the_objects_only_if_the_remote_is_well(
    kind: ErrorKind, probe: ProbeResult, others: bool, fault: Blame
) -> None:
    """The probe fails, or nothing else got through: an outage. Otherwise the object is to blame."""
    assert blame(kind, probe=probe, others_succeeded=others) is fault


@pytest.mark.parametrize(
    "kind", [ErrorKind.UNAUTHORIZED, ErrorKind.FORBIDDEN, ErrorKind.QUOTA, ErrorKind.NOT_FOUND]
)
def test_a_refusal_that_the_probe_shares_opens_the_breaker(kind: ErrorKind) -> None:
    """A wrong key, a full or a missing bucket is nobody's but the operator's to mend."""
    assert blame(kind, probe=ProbeResult(failure=kind), others_succeeded=True) is Blame.REMOTE_REFUSES


def test_a_refusal_on_one_object_alone_spends_its_attempt() -> None:
    """Others get through, the probe is good: this object dies alone."""
    assert blame(ErrorKind.FORBIDDEN, probe=GOOD, others_succeeded=True) is Blame.OBJECT
    assert blame(ErrorKind.NOT_FOUND, probe=GOOD, others_succeeded=False) is Blame.OBJECT


def test_a_full_bucket_that_answers_the_probe_kills_no_file() -> None:
    """HeadBucket works on a full bucket; when nothing gets through, no attempt is spent."""
    assert blame(ErrorKind.QUOTA, probe=GOOD, others_succeeded=False) is Blame.REMOTE


@pytest.mark.parametrize("kind", [ErrorKind.INVALID, ErrorKind.CORRUPT, ErrorKind.LOCAL_IO])
def test_a_bad_object_dies_after_three_attempts_without_a_probe(kind: ErrorKind) -> None:
    """A poison file dies alone, quickly."""
    assert not needs_probe(kind)
    decisions = [
        decide(kind, failures=n, probe=None, others_succeeded=False, jitter=1, policy=POLICY)
        for n in range(3)
    ]
    assert decisions[:2] == [Again(delay_seconds=1, spent=True), Again(delay_seconds=2, spent=True)]
    assert isinstance(decisions[2], GiveUp)


def test_failures_that_cost_nothing_still_lengthen_the_wait() -> None:
    """A remote that asks for less is asked less and less often."""
    delays = [
        decide(
            ErrorKind.THROTTLED,
            failures=0,
            unspent=n,
            probe=None,
            others_succeeded=True,
            jitter=1,
            policy=POLICY,
        )
        for n in range(8)
    ]
    assert [d.delay_seconds for d in delays if isinstance(d, Again)] == [1, 2, 4, 8, 16, 32, 60, 60]


@given(failures=st.integers(0, 10_000), jitter=st.floats(0, 1, exclude_max=True))
def test_the_wait_stays_within_its_bounds(failures: int, jitter: float) -> None:
    """Full jitter: from nothing to the ceiling, which never passes the maximum."""
    assert 0 <= backoff(failures, POLICY, jitter) <= POLICY.max_seconds


def test_judging_without_the_probe_it_needs_is_an_error() -> None:
    """A caller that forgets the probe is told so instead of blaming the object."""
    with pytest.raises(ValueError, match="probe"):
        blame(ErrorKind.NETWORK, probe=None, others_succeeded=True)

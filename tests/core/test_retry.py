"""A failure as a table: who is to blame, and what it costs (CONTRACT.md, "Errors")."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sidecar.core.errors import ErrorKind, Scope, usual_scope
from sidecar.core.retry import (
    Again,
    Blame,
    Decision,
    GiveUp,
    ProbeAnswer,
    RetryPolicy,
    backoff,
    blame,
    is_well,
    needs_probe,
    verdict,
)
from sidecar.core.success_tracker import OthersSince

POLICY = RetryPolicy(initial_seconds=1, max_seconds=60, attempts=3)
GOOD = ProbeAnswer()
kinds = st.sampled_from(ErrorKind)
probes = st.one_of(st.just(GOOD), kinds.map(lambda kind: ProbeAnswer(failure=kind)))


def decide(  # as the gate puts the two together
    kind: ErrorKind,
    *,
    scope: Scope | None = None,
    redacted: bool = False,
    failures: int,
    unspent: int = 0,
    probe: ProbeAnswer | None,
    others_succeeded: bool,
    jitter: float,
) -> Decision:
    fault = blame(kind, scope=scope, redacted=redacted, probe=probe, others_succeeded=others_succeeded)
    return verdict(fault, failures=failures, unspent=unspent, jitter=jitter, policy=POLICY)


@pytest.mark.parametrize("kind", [ErrorKind.THROTTLED, ErrorKind.CONFLICT])
@pytest.mark.parametrize("failures", [0, 2, 50])
def test_throttling_and_conflicts_never_spend_an_attempt(kind: ErrorKind, failures: int) -> None:
    """However often the remote asks for less, the object lives."""
    decision = decide(kind, failures=failures, probe=None, others_succeeded=True, jitter=0.5)
    assert isinstance(decision, Again)
    assert not decision.spent


@given(kind=kinds, probe=probes, others=st.booleans(), failures=st.integers(0, 9))
def test_a_redacted_error_never_spends_an_attempt(
    kind: ErrorKind, probe: ProbeAnswer, others: bool, failures: int
) -> None:
    """A paused deployment looks like a bug in production, so neither kills an asset."""
    decision = decide(
        kind,
        redacted=True,
        failures=failures,
        probe=probe,
        others_succeeded=others,
        jitter=0.1,
    )
    assert isinstance(decision, Again)
    assert not decision.spent


@given(kind=kinds, probe=probes, others=st.booleans())
def test_what_is_of_the_line_never_spends_an_attempt(
    kind: ErrorKind, probe: ProbeAnswer, *, others: bool
) -> None:
    """Time is no object's fault; while the remote answers it is nobody's, and else the remote's."""
    assume(needs_probe(kind))
    fault = blame(kind, of_the_line=True, probe=probe, others_succeeded=others)
    assert fault is not Blame.OBJECT
    assert (fault is Blame.NOBODY) == (probe.failure in {None, ErrorKind.LOCAL_IO})


@pytest.mark.parametrize("kind", [ErrorKind.NETWORK, ErrorKind.UNKNOWN])
@pytest.mark.parametrize(
    ("probe", "others", "fault"),
    [
        (ProbeAnswer(failure=ErrorKind.NETWORK), True, Blame.REMOTE),
        (ProbeAnswer(failure=ErrorKind.THROTTLED), True, Blame.REMOTE),
        (ProbeAnswer(failure=ErrorKind.UNAUTHORIZED), True, Blame.REMOTE_REFUSES),
        (GOOD, False, Blame.REMOTE),
        (GOOD, True, Blame.OBJECT),
    ],
)
def test_a_network_failure_is_the_objects_only_if_the_remote_is_well(
    kind: ErrorKind, probe: ProbeAnswer, others: bool, fault: Blame
) -> None:
    """The probe fails, or nothing else got through: an outage. Otherwise the object is to blame."""
    assert blame(kind, probe=probe, others_succeeded=others) is fault


@pytest.mark.parametrize(
    "kind", [ErrorKind.UNAUTHORIZED, ErrorKind.FORBIDDEN, ErrorKind.QUOTA, ErrorKind.NOT_FOUND]
)
def test_a_refusal_that_the_probe_shares_opens_the_breaker(kind: ErrorKind) -> None:
    """A wrong key, a full or a missing bucket is nobody's but the operator's to mend."""
    assert blame(kind, probe=ProbeAnswer(failure=kind), others_succeeded=True) is Blame.REMOTE_REFUSES


@pytest.mark.parametrize("kind", [ErrorKind.FORBIDDEN, ErrorKind.NOT_FOUND, ErrorKind.INVALID])
def test_a_refusal_on_one_object_alone_spends_its_attempt(kind: ErrorKind) -> None:
    """Others get through, the probe is good: this object dies alone."""
    assert blame(kind, probe=GOOD, others_succeeded=True) is Blame.OBJECT


@pytest.mark.parametrize("kind", [ErrorKind.UNAUTHORIZED, ErrorKind.QUOTA])
def test_no_object_is_to_blame_for_our_keys_or_a_full_store(kind: ErrorKind) -> None:
    """Even while others get through: signed before a change, or small enough for the last room."""
    assert blame(kind, probe=GOOD, others_succeeded=True) is Blame.REMOTE


@given(kind=kinds)
def test_a_lone_file_that_a_well_remote_refuses_spends_nothing(kind: ErrorKind) -> None:
    """HeadBucket works on a full bucket, and nobody else tries: whatever it is, it may concern everybody."""
    if usual_scope(kind) is Scope.OBJECT:
        kind = ErrorKind.UNKNOWN
    assert blame(kind, probe=GOOD, others_succeeded=False) in {Blame.REMOTE, Blame.NOBODY}


@given(kind=kinds, probe=probes, others=st.booleans(), failures=st.integers(0, 9))
def test_our_own_disk_spends_nothing(
    kind: ErrorKind, probe: ProbeAnswer, others: bool, failures: int
) -> None:
    """A folder that cannot be read for a while is nobody's fault."""
    decision = decide(
        kind,
        scope=Scope.OURS,
        failures=failures,
        probe=probe,
        others_succeeded=others,
        jitter=0.1,
    )
    assert isinstance(decision, Again)
    assert not decision.spent
    assert not needs_probe(kind, scope=Scope.OURS)


@pytest.mark.parametrize("kind", [ErrorKind.INVALID, ErrorKind.CORRUPT])
def test_what_s3_says_of_this_very_object_kills_it_after_three_attempts_without_a_probe(
    kind: ErrorKind,
) -> None:
    """A poison file dies alone, quickly."""
    assert not needs_probe(kind, scope=Scope.OBJECT)
    decisions = [
        decide(
            kind,
            scope=Scope.OBJECT,
            failures=n,
            probe=None,
            others_succeeded=False,
            jitter=1,
        )
        for n in range(3)
    ]
    assert decisions[:2] == [Again(delay_seconds=1, spent=True), Again(delay_seconds=2, spent=True)]
    assert isinstance(decisions[2], GiveUp)


@pytest.mark.parametrize(
    ("succeeded", "failed", "in_a_row", "well"),
    [
        (0, 0, 9, False),  # nobody else tried
        (1, 0, 0, True),
        (100, 1, 2, False),  # others fail as well: bad luck, so far
        (100, 1, 6, True),
        (4, 1, 6, True),
        (3, 1, 6, False),  # every fourth fails: the remote is unwell
        (0, 1, 6, False),
    ],
)
def test_a_remote_is_well_if_others_get_through_and_do_not_fail_as_well(
    succeeded: int, failed: int, in_a_row: int, well: bool
) -> None:
    """A remote that drops some of all requests makes no dead letters of those that it drops thrice."""
    others = OthersSince(succeeded=succeeded, failed=failed)
    assert is_well(others, failures_in_a_row=in_a_row) is well


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

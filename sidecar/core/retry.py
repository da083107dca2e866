"""Decides whose fault a failure is, and what follows: try again, when, at whose expense, or give up.

Only what is one object's own fault spends its attempts. The first line that fits decides:

- Throttling, a lost race, our disk and our descriptors are nobody's fault: it waits. What is ours is named,
  and the remote's breaker hears nothing of it.
- A row of scope OBJECT (EntityTooSmall, KeyTooLong, BadDigest after a second read: a closed list that a test
  holds) is the object's own fault and costs it an attempt.
- If the probe fails, the failure is the remote's: the breaker counts it, and opens at once where the probe
  is refused.
- Time that ran out, a line that broke for others as well, and a kept connection that was cut are the line's:
  it waits, and fewer bodies go at once.
- Credentials and quota are never an object's. Nor is anything else while nobody else got through in the same
  operation. Both are the remote's: the breaker counts them.
- An answer that somebody else gave in the remote's place is nobody's fault.
- All else is the object's, since others got through, and costs it an attempt.

Others are counted by operation (``success_tracker.py``), because small files that arrive prove nothing of a
store that opens no multipart upload. Where others fail, too, the remote is in trouble, and an object that
meets the trouble three times in a row is unlucky and not poison: then six failures in a row are needed,
beside four successes of others for each failure of others (``is_well``).

Pure: the probe's answer, the successes of others and the jitter are arguments (CONTRACT.md, "Errors").
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import assert_never

from .errors import ErrorKind, Scope, usual_scope
from .success_tracker import OthersSince

REFUSALS = frozenset({ErrorKind.UNAUTHORIZED, ErrorKind.FORBIDDEN, ErrorKind.QUOTA, ErrorKind.NOT_FOUND})
_NOBODYS = frozenset({ErrorKind.THROTTLED, ErrorKind.CONFLICT, ErrorKind.LOCAL_IO})
_NEVER_AN_OBJECTS = frozenset({ErrorKind.UNAUTHORIZED, ErrorKind.QUOTA})
_EXPONENT_MAX = 62  # keeps 2**n a float that nothing overflows
# In a row, while others fail as well: where one request in four fails this is chance once in 4,000.
SUSPICIOUS_FAILURES = 6
SUCCESSES_PER_FAILURE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often and how soon: ``attempts`` in all, delays from initial to max."""

    initial_seconds: float = 1.0
    max_seconds: float = 60.0
    attempts: int = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeAnswer:
    """What the remote answered to the probe; ``failure`` is None if it answered well."""

    failure: ErrorKind | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """Try again in ``delay_seconds``; ``spent``: the object has one attempt less."""

    delay_seconds: float
    spent: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class GiveUp:
    """The object becomes a dead letter; ``reason`` is a clause for people."""

    reason: str


Decision = Again | GiveUp


class Blame(StrEnum):
    """Who is at fault; only OBJECT spends an attempt, only the REMOTE ones move the breaker."""

    OBJECT = "object"
    REMOTE = "remote"  # an outage: the breaker counts it
    REMOTE_REFUSES = "remote refuses"  # us, not the object: the breaker opens at once
    NOBODY = "nobody"  # throttled, lost a race, our own disk, or the cause is hidden


def is_well(others: OthersSince, *, failures_in_a_row: int) -> bool:
    """Tell whether the remote proved well for others while one object failed, so often in a row.

    One success beside no failure does. Where others fail, too, the remote is having trouble, and an object
    that is met by it three times is no poison: it has to fail often, and most of the others have to succeed.
    """
    if others.failed == 0:
        return others.succeeded > 0
    suspicious = failures_in_a_row >= SUSPICIOUS_FAILURES
    return suspicious and others.succeeded >= SUCCESSES_PER_FAILURE * others.failed


def needs_probe(kind: ErrorKind, *, scope: Scope | None = None, redacted: bool = False) -> bool:
    """Tell whether ``blame`` must know how the remote answers to a probe."""
    if redacted:
        return True
    return kind not in _NOBODYS and (scope or usual_scope(kind)) not in {Scope.OBJECT, Scope.OURS}


def blame(
    kind: ErrorKind,
    *,
    scope: Scope | None = None,
    redacted: bool = False,
    of_the_line: bool = False,
    probe: ProbeAnswer | None,
    others_succeeded: bool,
) -> Blame:
    """Tell whose fault a failure is. What is ``of_the_line`` is nobody's while the remote answers.

    It is the object's only if the remote says so of this very object (``scope``), or proved well for others
    in the same operation meanwhile (``others_succeeded``, see ``is_well``). All else is the remote's, the
    credentials' or ours: a key that may look at the bucket but not write, or a full bucket that still
    answers HeadBucket, must not turn every file into a dead letter. Raises ValueError if the probe is
    needed and missing.
    """
    if not needs_probe(kind, scope=scope, redacted=redacted):
        ours = kind in _NOBODYS or (scope or usual_scope(kind)) is Scope.OURS
        return Blame.NOBODY if ours else Blame.OBJECT
    if probe is None:
        raise ValueError(f"a failure of kind {kind} is judged only after a probe")
    if probe.failure is ErrorKind.LOCAL_IO:  # it was not even sent
        return Blame.NOBODY
    if probe.failure is not None:
        return Blame.REMOTE_REFUSES if probe.failure in REFUSALS else Blame.REMOTE
    if of_the_line:
        return Blame.NOBODY
    if not others_succeeded or kind in _NEVER_AN_OBJECTS:
        return Blame.REMOTE
    return Blame.NOBODY if redacted else Blame.OBJECT


def backoff(failures: int, policy: RetryPolicy, jitter: float) -> float:
    """Return the seconds to wait after the ``failures``-th failure in a row (from 1): full jitter.

    ``jitter`` is uniform in [0, 1).
    """
    exponent = min(max(failures - 1, 0), _EXPONENT_MAX)
    return jitter * min(policy.max_seconds, policy.initial_seconds * 2.0**exponent)


def verdict(fault: Blame, *, failures: int, unspent: int, jitter: float, policy: RetryPolicy) -> Decision:
    """Turn blame into a decision.

    ``failures`` counts the attempts spent before this failure, ``unspent`` the failures since then
    that cost nothing: they lengthen the wait, never shorten the life.
    """
    match fault:
        case Blame.OBJECT:
            if failures + 1 >= policy.attempts:
                return GiveUp(reason=f"failed {failures + 1} times")
            return Again(delay_seconds=backoff(failures + 1, policy, jitter), spent=True)
        case Blame.REMOTE | Blame.REMOTE_REFUSES | Blame.NOBODY:
            return Again(delay_seconds=backoff(failures + unspent + 1, policy, jitter), spent=False)
        case _:  # pragma: no cover
            assert_never(fault)


def not_before(decision: Decision, pause_seconds: float, policy: RetryPolicy) -> Decision:
    """Give a remote the pause that it asks for, as far as we would ever wait by ourselves."""
    if isinstance(decision, GiveUp):
        return decision
    pause_seconds = min(pause_seconds, policy.max_seconds)
    return replace(decision, delay_seconds=max(decision.delay_seconds, pause_seconds))

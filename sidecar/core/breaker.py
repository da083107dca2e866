"""A circuit breaker as a value: closed, open, half-open; every step returns a new one.

All times are monotonic seconds. ``due`` is the moment at which the next probe is owed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum


class BreakerState(StrEnum):
    """What the door does."""

    CLOSED = "closed"  # everything passes
    OPEN = "open"  # nothing passes; a probe is sent when it is due
    HALF_OPEN = "half_open"  # the probe was good: one transfer at a time is on trial


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerPolicy:
    """Open after ``failures`` in a row; probe after ``reset_seconds``."""

    failures: int = 5
    reset_seconds: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """``failures`` counts those in a row that were the remote's fault. ``due`` is None when closed."""

    state: BreakerState = BreakerState.CLOSED
    failures: int = 0
    due: float | None = None
    on_trial: bool = False  # half-open: a transfer is out


WELL = Breaker()  # closed, and nothing has failed


def passes(breaker: Breaker) -> bool:
    """Tell whether one more transfer may go now."""
    half_open = breaker.state is BreakerState.HALF_OPEN and not breaker.on_trial
    return half_open or breaker.state is BreakerState.CLOSED


def admitted(breaker: Breaker, policy: BreakerPolicy, now: float) -> Breaker:
    """Let a transfer go. On trial it has ``reset_seconds``; then the remote is probed anew."""
    if breaker.state is BreakerState.HALF_OPEN:
        return replace(breaker, on_trial=True, due=now + policy.reset_seconds)
    return breaker


def succeeded(breaker: Breaker, now: float) -> Breaker:
    """Count a transfer that got through: closed, and the failures forgotten.

    A straggler that succeeds while the breaker is open only brings the probe forward.
    """
    if breaker.state is BreakerState.OPEN:
        return replace(breaker, due=min(now, breaker.due) if breaker.due is not None else now)
    return WELL


def failed(breaker: Breaker, policy: BreakerPolicy, now: float) -> Breaker:
    """Count a failure of the remote. A straggler while open does not postpone the probe."""
    counted = replace(breaker, failures=breaker.failures + 1)
    if breaker.state is BreakerState.OPEN:
        return counted
    if breaker.state is BreakerState.HALF_OPEN or counted.failures >= policy.failures:
        return _opened(counted, policy, now)
    return counted


def refused(breaker: Breaker, policy: BreakerPolicy, now: float) -> Breaker:
    """Open at once: the probe itself was refused (credentials, right, quota, no such bucket)."""
    counted = replace(breaker, failures=breaker.failures + 1)
    return counted if breaker.state is BreakerState.OPEN else _opened(counted, policy, now)


def excused(breaker: Breaker) -> Breaker:
    """End a trial that said nothing about the remote: the next transfer is on trial."""
    return replace(breaker, on_trial=False)


def probed(breaker: Breaker, policy: BreakerPolicy, now: float, *, good: bool) -> Breaker:
    """Take the answer to a probe that was due.

    Open: half-open if good. Half-open, where no work came (or the trial never ended): closed if good,
    but one failure opens it again.
    """
    if breaker.state is BreakerState.CLOSED:
        return breaker
    if not good:
        return _opened(breaker, policy, now)
    if breaker.state is BreakerState.OPEN:
        return replace(breaker, state=BreakerState.HALF_OPEN, due=now + policy.reset_seconds, on_trial=False)
    if breaker.on_trial:
        return replace(breaker, due=now + policy.reset_seconds, on_trial=False)
    return Breaker(failures=policy.failures - 1)


def probe_is_due(breaker: Breaker, now: float) -> bool:
    """Tell whether a probe is owed now."""
    return breaker.due is not None and now >= breaker.due


def hurried(breaker: Breaker, now: float, seconds: float) -> Breaker:
    """Bring the probe of an open breaker forward to at most ``seconds`` from now."""
    if breaker.due is None:
        return breaker
    return replace(breaker, due=min(breaker.due, now + seconds))


def _opened(breaker: Breaker, policy: BreakerPolicy, now: float) -> Breaker:
    return replace(breaker, state=BreakerState.OPEN, due=now + policy.reset_seconds, on_trial=False)

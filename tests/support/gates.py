"""Gates of tests: one remote's breaker with the policies that a test wants."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from sidecar.core.breaker import BreakerPolicy
from sidecar.core.clock import Clock
from sidecar.core.retry import RetryPolicy
from sidecar.gate import RemoteGate

QUICK = RetryPolicy(initial_seconds=0.01, max_seconds=0.05)


def convex_gate(
    probe: Callable[[], Awaitable[None]],
    clock: Clock,
    *,
    retry: RetryPolicy | None = None,
    breaker: BreakerPolicy | None = None,
    jitter: float = 0.5,
) -> RemoteGate:
    """Return the gate of Convex, with the default policies unless others are given."""
    return RemoteGate(
        remote="convex",
        probe=probe,
        retry=retry or RetryPolicy(),
        breaker=breaker or BreakerPolicy(),
        clock=clock,
        jitter=lambda: jitter,
    )

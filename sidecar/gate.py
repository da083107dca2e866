"""One remote's door: breaker, probe, and the decision what a failure means. (Signatures fixed; being written.)"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from sidecar.core.clock import Clock
from sidecar.core.errors import SidecarError


class Gate:
    def __init__(
        self,
        *,
        remote: str,  # "s3" | "convex"
        probe: Callable[[], Awaitable[None]],
        retry: "RetryPolicy",      # sidecar.core.retry
        breaker: "BreakerPolicy",  # sidecar.core.breaker
        clock: Clock,
        jitter: Callable[[], float],  # uniform in [0, 1)
    ) -> None: ...

    async def admit(self) -> None:
        """Wait until one more transfer may go: at once when closed; when half-open after a good probe, one at a time."""

    def succeeded(self, target: str) -> None: ...

    async def failed(self, target: str, error: SidecarError, *, failures: int) -> "Decision":
        """Again(delay_seconds, spent) or GiveUp(reason), by DESIGN.md section 4."""

"""Time as an argument: the daemon passes the real clock, a simulation a virtual one."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Two clocks: the wall's for what people and Convex read, the monotonic one for every wait."""

    def wall_ms(self) -> int:
        """Milliseconds since 1970, may jump."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back; means nothing to another process."""
        ...


class SystemClock:
    """The machine's clocks."""

    def wall_ms(self) -> int:
        """Milliseconds since 1970."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Seconds of CLOCK_MONOTONIC."""
        return time.monotonic()

"""A clock that only a test moves."""

from __future__ import annotations


class ManualClock:
    """Wall and monotonic time, advanced together."""

    def __init__(self) -> None:
        """Begin in 2026."""
        self.wall, self.mono = 1_780_000_000_000, 1000.0

    def wall_ms(self) -> int:
        """Milliseconds since 1970."""
        return self.wall

    def monotonic(self) -> float:
        """Seconds."""
        return self.mono

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.wall += int(seconds * 1000)
        self.mono += seconds

"""Counts failures in a row in one operation that cost nobody an attempt, so that they are named.

A store that lets small files pass and opens no multipart upload is in no trouble that a breaker would see.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from .errors import SidecarError


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureStreak:
    """The newest of ``count`` failures, at ``at_seconds`` (monotonic), whose object is ``target``.

    ``since_ms`` is wall time.
    """

    error: SidecarError
    target: str
    count: int
    since_ms: int
    at_seconds: float


class FailureStreaks:
    """Keeps at most one streak for each operation, of which there are some ten."""

    def __init__(self) -> None:
        """Begin without any."""
        self._by_operation: dict[str, FailureStreak] = {}

    def failed(self, error: SidecarError, target: str, *, now_ms: int, now_seconds: float) -> None:
        """Count a failure."""
        new = FailureStreak(error=error, target=target, count=1, since_ms=now_ms, at_seconds=now_seconds)
        before = self._by_operation.get(error.operation)
        if before is not None:
            new = replace(new, count=before.count + 1, since_ms=before.since_ms)
        self._by_operation[error.operation] = new

    def succeeded(self, operation: str) -> None:
        """End the operation's streak."""
        self._by_operation.pop(operation, None)

    def arrived(self, target: str, operation: str) -> None:
        """End what an object's success ends: its operation's streak, and those that it failed in last."""
        if self._by_operation:
            self.succeeded(operation)
            self.forget(target)

    def forget(self, target: str) -> None:
        """End the streaks whose newest failure was this object's: it arrived, or is settled otherwise."""
        for operation, streak in list(self._by_operation.items()) if self._by_operation else ():
            if streak.target == target:
                del self._by_operation[operation]

    def longest(self, *, at_least: int, since_seconds: float) -> FailureStreak | None:
        """Return the one with the most failures, if it has so many, and failed since then (monotonic).

        What would still fail would have been tried again: its object was replaced or deleted meanwhile.
        """
        lasting = [one for one in self._by_operation.values() if one.at_seconds >= since_seconds]
        streak = max(lasting, key=lambda one: one.count, default=None)
        return streak if streak is not None and streak.count >= at_least else None

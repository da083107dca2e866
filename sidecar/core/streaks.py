"""Failures in a row in one operation that cost nobody an attempt: to be named although the rest goes well.

A store that lets small files pass and opens no multipart upload is in no trouble that a breaker would see.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from .errors import SidecarError


@dataclass(frozen=True, slots=True, kw_only=True)
class Streak:
    """The newest of ``count`` failures, whose object is ``target``; ``since_ms`` is wall time."""

    error: SidecarError
    target: str
    count: int
    since_ms: int


class Streaks:
    """At most one streak an operation, of which there are some ten."""

    def __init__(self) -> None:
        """Begin without any."""
        self._by_operation: dict[str, Streak] = {}

    def failed(self, error: SidecarError, target: str, *, now_ms: int) -> None:
        """Count a failure."""
        before = self._by_operation.get(error.operation)
        begun = before or Streak(error=error, target=target, count=0, since_ms=now_ms)
        self._by_operation[error.operation] = replace(
            begun, error=error, target=target, count=begun.count + 1
        )

    def succeeded(self, operation: str) -> None:
        """End the operation's streak."""
        self._by_operation.pop(operation, None)

    def forget(self, target: str) -> None:
        """End the streaks whose newest failure was this object's: it is settled otherwise."""
        for operation, streak in list(self._by_operation.items()):
            if streak.target == target:
                del self._by_operation[operation]

    def longest(self, *, at_least: int) -> Streak | None:
        """Return the one with the most failures, if it has so many."""
        streak = max(self._by_operation.values(), key=lambda one: one.count, default=None)
        return streak if streak is not None and streak.count >= at_least else None

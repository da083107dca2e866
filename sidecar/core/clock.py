"""Time as an argument: the daemon passes the real clock, a simulation a virtual one."""

from __future__ import annotations

import time
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Protocol

SKEW_SECONDS_MAX = 15 * 60.0  # further away AWS refuses what was signed (RequestTimeTooSkewed)
_JITTER_SECONDS = 2  # a Date header is whole seconds, and answers take their time


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

    # Seconds of CLOCK_MONOTONIC; asked so often for each file that a function around it would show.
    monotonic = staticmethod(time.monotonic)


def is_near(skew_seconds: float | None) -> bool:
    """Tell whether our wall clock is known to agree with a remote's: only then is anything done by age."""
    return skew_seconds is not None and abs(skew_seconds) <= SKEW_SECONDS_MAX


def disagreement(remote: str, skew_seconds: float | None) -> str | None:
    """Return what to say of a wall clock that is known to be wrong, so far ahead of the remote's."""
    if skew_seconds is None or is_near(skew_seconds):
        return None
    way = "ahead of" if skew_seconds > 0 else "behind"
    return f"this machine's clock is {abs(skew_seconds) / 60:.0f} min {way} {remote}'s: set it"


class RemoteClock:
    """A remote's wall clock as its Date headers tell it, carried on by our monotonic clock.

    So a jump of our own wall clock shows at once, not only with the remote's next answer.
    """

    def __init__(self, clock: Clock) -> None:
        """Know nothing yet."""
        self._clock = clock
        self._ahead_seconds: float | None = None  # of the monotonic clock

    def learn(self, date: str | None) -> None:
        """Take in a Date header; anything that is none is passed over."""
        try:
            remote_seconds = _seconds(date or "")
        except (ValueError, OverflowError):
            return
        self._ahead_seconds = remote_seconds - self._clock.monotonic()

    @property
    def skew_seconds(self) -> float | None:
        """Our wall clock minus the remote's; None before the first answer."""
        if self._ahead_seconds is None:
            return None
        return self._clock.wall_ms() / 1000 - self._ahead_seconds - self._clock.monotonic()

    def now_seconds(self) -> int:
        """Seconds since 1970 by the remote's clock, as far as we know it."""
        skew = self.skew_seconds
        ours = self._clock.wall_ms() / 1000
        return int(ours if skew is None or abs(skew) < _JITTER_SECONDS else ours - skew)


@lru_cache(maxsize=8)  # all answers of one second say the same
def _seconds(date: str) -> float:
    remote = parsedate_to_datetime(date)
    return remote.replace(tzinfo=remote.tzinfo or UTC).timestamp()

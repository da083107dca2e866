"""Tells which files are new, for a drain: those that changed since the process started, by their ctime.

A wall clock may be set meanwhile. Of two readings, that at the start and that of now minus the process's
age, the earlier one counts, so that setting the clock makes no new file old.
"""

from __future__ import annotations

from sidecar.core.clock import Clock

MS_NS = 1_000_000


class StartTime:
    """Knows since when files count as new. It is made once, at the start of the process."""

    def __init__(self, clock: Clock) -> None:
        """Remember now."""
        self._clock = clock
        self._wall_ms, self._at = clock.wall_ms(), clock.monotonic()

    def new_since_ns(self) -> int:
        """Return from which change time on a file is new."""
        age_ms = round(1000 * (self._clock.monotonic() - self._at))
        return min(self._wall_ms, self._clock.wall_ms() - age_ms) * MS_NS

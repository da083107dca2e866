"""Decides how many sessions are told at once: halved when Convex throttles, grown slowly otherwise."""

from __future__ import annotations

PARALLEL_MAX = 8
GROW_AFTER = 20  # calls without being throttled


class Concurrency:
    """``parallel`` is the number of calls that may be in flight, 1 to ``most``."""

    def __init__(self, most: int = PARALLEL_MAX) -> None:
        """Begin with the most."""
        self.parallel = most
        self._most = most
        self._smooth_calls = 0
        self._put_off = False

    def throttled(self) -> None:
        """Convex asked for less: half of it."""
        self._put_off = True
        self.parallel = max(1, self.parallel // 2)
        self._smooth_calls = 0

    def succeeded(self) -> bool:
        """One more call went well; after enough of them one more may be in flight.

        True if Convex takes calls again that it put off before: nobody need wait out a backoff then.
        """
        again, self._put_off = self._put_off, False
        self._smooth_calls += 1
        if self._smooth_calls >= GROW_AFTER and self.parallel < self._most:
            self.parallel += 1
            self._smooth_calls = 0
        return again

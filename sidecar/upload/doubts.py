"""Remembers where S3 may carry out a request after we gave it up, and looks there again: twice.

S3 may carry a request out after its answer was given up, and after its clean-up. A network may deliver an
answered PUT once more. So S3 is looked at again after five seconds and after a minute: where a Create was
given up, where no object was found to delete, and where an object was deleted within a minute of its making.
A drain has no minute: it looks once and leaves the last look to the next start.

The times are in memory. Each place is also a debt of the journal, which only the last look settles. A kill
in between therefore forgets nothing: after a restart the debt is paid, and looked at, anew.
"""

from __future__ import annotations

import asyncio

from sidecar.core.clock import Clock
from sidecar.journal.journal import Debt

LOOKS_SECONDS: tuple[float, ...] = (5.0, 60.0)  # who still has the request by then gives it up soon
HURRIED_SECONDS = (1.0,)  # a drain has no minute


class Doubts:
    """Clean-ups to be tried again because they may have been too early. New ones set ``changed``."""

    def __init__(self, *, clock: Clock) -> None:
        """Begin without any."""
        self.changed = asyncio.Event()
        self._clock = clock
        self._looks_seconds = LOOKS_SECONDS
        self._due: dict[Debt, tuple[float, ...]] = {}

    def __len__(self) -> int:
        """Return how many places are still to be looked at."""
        return len(self._due)

    def add(self, doubt: Debt) -> None:
        """Look again at what this clean-up is to remove; a doubt that is there already begins anew."""
        now = self._clock.monotonic()
        self._due[doubt] = tuple(now + seconds for seconds in self._looks_seconds)
        self.changed.set()

    def __contains__(self, doubt: Debt) -> bool:
        """Tell whether there is a look at it still to come."""
        return doubt in self._due

    def due(self) -> list[Debt]:
        """Return where it is time to look."""
        now = self._clock.monotonic()
        return [doubt for doubt, looks in self._due.items() if looks[0] <= now]

    def next_due(self) -> float | None:
        """Return when (monotonic seconds) it is time to look; None: never."""
        return min((looks[0] for looks in self._due.values()), default=None)

    def looked(self, doubt: Debt) -> bool:
        """Note that one look is done; True: it was the last one, and there is no doubt any more."""
        now = self._clock.monotonic()
        rest = tuple(due for due in self._due.pop(doubt, ()) if due > now)
        if rest:
            self._due[doubt] = rest
        return not rest

    def postpone(self, doubt: Debt, *, seconds: float) -> None:
        """Come back later, since nobody could look."""
        due = self._clock.monotonic() + seconds
        self._due[doubt] = (due, *(later for later in self._due.get(doubt, ()) if later > due))

    def hasten(self) -> None:
        """Look once and at once from now on, since the daemon is to stop."""
        now, self._looks_seconds = self._clock.monotonic(), HURRIED_SECONDS
        self._due = dict.fromkeys(self._due, (now,))
        self.changed.set()

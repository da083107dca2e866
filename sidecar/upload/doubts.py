"""Where a request that was given up may be carried out yet: S3 is looked at again, soon and once more later.

In memory only: after a restart ``Journal.in_doubt`` and the debts that are still owed say where to look, and
the start's sweep looks at all.
"""

from __future__ import annotations

import asyncio

from sidecar.core.clock import Clock
from sidecar.journal.journal import Debt

LOOKS_SECONDS: tuple[float, ...] = (5.0, 60.0)  # who still has the request by then gives it up soon
HURRIED_SECONDS = (1.0,)  # a drain has no minute


class Doubts:
    """Clean-ups to be tried again when they may have been too early. ``changed`` is set by new ones."""

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

    def create(self, key: str, transfer: str) -> None:
        """Add that a Create under ``key`` was given up."""
        self.add(Debt(id=0, delete_object=False, key=key, upload_id=None, transfer=transfer))

    def due(self) -> list[Debt]:
        """Return where it is time to look."""
        now = self._clock.monotonic()
        return [doubt for doubt, looks in self._due.items() if looks[0] <= now]

    def next_due(self) -> float | None:
        """Return when (monotonic seconds) it is time to look; None: never."""
        return min((looks[0] for looks in self._due.values()), default=None)

    def looked(self, doubt: Debt) -> bool:
        """One look is done; True: it was the last one, and there is no doubt any more."""
        now = self._clock.monotonic()
        rest = tuple(due for due in self._due.pop(doubt, ()) if due > now)
        if rest:
            self._due[doubt] = rest
        return not rest

    def postpone(self, doubt: Debt, *, seconds: float) -> None:
        """It could not be looked: come back."""
        due = self._clock.monotonic() + seconds
        self._due[doubt] = (due, *(later for later in self._due.get(doubt, ()) if later > due))

    def hasten(self) -> None:
        """The daemon is to stop: from now on look once, and at once."""
        now, self._looks_seconds = self._clock.monotonic(), HURRIED_SECONDS
        self._due = dict.fromkeys(self._due, (now,))
        self.changed.set()

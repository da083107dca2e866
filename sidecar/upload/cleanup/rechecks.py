"""Remembers where S3 may carry out a request after we gave it up, and looks there again: twice.

S3 may carry a request out after its answer was given up, and after its clean-up. A network may deliver an
answered PUT once more. So S3 is looked at again after five seconds and after a minute: where a Create was
given up, where no object was found to delete, and where an object was deleted within a minute of its making.
A drain has no minute: it looks once and leaves the last look to the next start.

The times are in memory. Each place is also a clean-up task of the journal, which only the last look settles.
A kill in between therefore forgets nothing: after a restart the clean-up task is paid, and looked at, anew.
Where the last look would have been by then, by the wall's clock, one is enough: programs that live for a
second each come to an end, too.
"""

from __future__ import annotations

import asyncio

from sidecar.core.clock import Clock
from sidecar.journal.stores.cleanup import CleanupTask

LOOKS_SECONDS: tuple[float, ...] = (5.0, 60.0)  # who still has the request by then gives it up soon
HURRIED_SECONDS = (1.0,)  # a drain has no minute


class Rechecks:
    """Clean-ups to be tried again because they may have been too early. New ones set ``changed``."""

    def __init__(self, *, clock: Clock) -> None:
        """Begin without any."""
        self.changed = asyncio.Event()
        self._clock = clock
        self._looks_seconds = LOOKS_SECONDS
        self._due: dict[CleanupTask, tuple[float, ...]] = {}

    def __len__(self) -> int:
        """Return how many places are still to be looked at."""
        return len(self._due)

    def add(self, task: CleanupTask) -> None:
        """Look again at what this clean-up is to remove; a recheck that is there already begins anew."""
        now = self._clock.monotonic()
        looks_seconds = (0.0,) if self.is_late(task) else self._looks_seconds
        self._due[task] = tuple(now + seconds for seconds in looks_seconds)
        self.changed.set()

    def is_late(self, task: CleanupTask) -> bool:
        """Tell whether another life began with the looks so long ago that the next one is the last."""
        waited_ms = 0 if task.looked_ms is None else self._clock.wall_ms() - task.looked_ms
        return waited_ms >= 1000 * LOOKS_SECONDS[-1]

    def __contains__(self, task: CleanupTask) -> bool:
        """Tell whether there is a look at it still to come."""
        return task in self._due

    def due(self) -> list[CleanupTask]:
        """Return where it is time to look."""
        now = self._clock.monotonic()
        return [task for task, looks in self._due.items() if looks[0] <= now]

    def next_due(self) -> float | None:
        """Return when (monotonic seconds) it is time to look; None: never."""
        return min((looks[0] for looks in self._due.values()), default=None)

    def rechecked(self, task: CleanupTask) -> bool:
        """Note that one look is done; True: it was the last one, and nothing is left to recheck."""
        now = self._clock.monotonic()
        rest = tuple(due for due in self._due.pop(task, ()) if due > now)
        if rest:
            self._due[task] = rest
        return not rest

    def postpone(self, task: CleanupTask, *, seconds: float) -> None:
        """Come back later, since nobody could look."""
        due = self._clock.monotonic() + seconds
        self._due[task] = (due, *(later for later in self._due.get(task, ()) if later > due))

    def hasten(self) -> None:
        """Look once and at once from now on, since the daemon is to stop."""
        now, self._looks_seconds = self._clock.monotonic(), HURRIED_SECONDS
        self._due = dict.fromkeys(self._due, (now,))
        self.changed.set()

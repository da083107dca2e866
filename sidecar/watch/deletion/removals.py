"""Decides after each full listing what a root's absent files mean (``removal: tombstone | delete``).

Nothing is decided before another look, at least ``rescan`` later. Then what is at 3 is decided, and what is
at 2 becomes 3 (``journal/stores/removals.py``). In between every root is listed once: a file that was moved,
and was refused while the old one had the slot, has taken it by then. Content that is still owed is
delivered first.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog

from sidecar.core.clock import Clock
from sidecar.journal.stores.removals import Removals
from sidecar.journal.stores.roots import Roots
from sidecar.journal.writer import AsyncJournal
from sidecar.watch.os.worker_threads import WorkerThreads
from sidecar.watch.ownership.flock import device_and_inode
from sidecar.watch.scan.mount_points import UNSEEN, MountPoints

MASS_REMOVAL_SECONDS = 600.0  # what is gone within it is gone at once
log = structlog.get_logger()


class RemovalDetector:
    """Follows the absent files of one root, listing by listing."""

    def __init__(
        self,
        *,
        root: str,
        removal: str,
        between_seconds: float,
        journal: AsyncJournal,
        threads: WorkerThreads,
        clock: Clock,
        others_listed: Callable[[float], bool],
    ) -> None:
        """``others_listed`` tells whether every watched root was listed by a listing begun after a time.

        ``between_seconds`` is the least time between two looks.
        """
        self._root, self._removal, self._between_seconds = root, removal, between_seconds
        self._journal, self._threads, self._clock = journal, threads, clock
        self._others_listed = others_listed
        self._confirmed_at: float | None = None  # monotonic; what was confirmed before is another life's
        self._mass_removal_began = clock.monotonic()

    async def begin(self) -> MountPoints | None:
        """Return what a full listing is to be compared with; None where absence means nothing."""
        if self._removal == "keep":
            return None
        return MountPoints(await self._journal.do(Roots.places, self._root))

    async def end(self, places: MountPoints | None) -> None:
        """Take in that a full listing is journaled: spare what it cannot tell of, decide the rest."""
        if places is None:
            return
        listed = places.found.get("", UNSEEN)
        if listed == UNSEEN:
            return  # the root could not be opened: that was no listing
        if await self._threads.do(lambda: device_and_inode(self._root)) != listed:
            await self._journal.do(Removals.forgive_absence, self._root, [""])
            return
        if changed := places.changed():
            await self._journal.do(Removals.forgive_absence, self._root, changed)
            await self._journal.do(Roots.record_places, self._root, places.found)
        if self._is_time():
            await self._decide()

    def _is_time(self) -> bool:
        if self._confirmed_at is None:
            return True
        waited = self._clock.monotonic() - self._confirmed_at
        return waited >= self._between_seconds and self._others_listed(self._confirmed_at)

    async def _decide(self) -> None:
        if self._confirmed_at is not None and await self._journal.do(Removals.has_absences, self._root):
            await self._evaluate()
        self._confirmed_at = self._clock.monotonic()
        while await self._journal.do(Removals.confirm_absence, self._root):
            pass

    async def _evaluate(self) -> None:
        now = self._clock.monotonic()
        anew = now - self._mass_removal_began > MASS_REMOVAL_SECONDS
        if anew:
            self._mass_removal_began = now
        mass_removal = await self._journal.do(Removals.mass_removal, self._root, anew=anew)
        after: str | None = ""
        asked = 0
        while after is not None:
            weighed = await self._journal.do(
                Removals.evaluate_absences,
                self._root,
                after=after,
                ask=mass_removal.is_mass,
                delete_object=self._removal == "delete",
            )
            after, asked = weighed.after, asked + weighed.asked
        if asked:
            log.warning(
                "removal_asks",
                root=self._root,
                files=asked,
                gone=mass_removal.gone,
                present=mass_removal.present,
            )

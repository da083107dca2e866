"""Remembers for some seconds what events had listed, so that nothing is listed and taken in twice.

Several watchers tell of the same new folder, and it is listed once more when it is watched itself. What is
remembered is watched, or will be and is looked at then: so another event of it is no news, unless it was
deleted meanwhile. A number of its inode says little, for the next folder may get the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet

from sidecar.core.clock import Clock
from sidecar.journal.stores.known import IdentityRow
from sidecar.watch.scan.listing import Listing, upwards

KEPT_SECONDS = 5.0
ENTRIES_KEPT = 4_096  # files and folders; beyond it all is forgotten, and listed again


class RecentListings:
    """The listings of one root. Changed on the event loop, asked by worker threads as well."""

    def __init__(self, clock: Clock) -> None:
        """Begin empty."""
        self._clock = clock
        self._kept: dict[str, tuple[Listing, float]] = {}
        self._entries = 0
        self.losses = 0  # how often something was forgotten: what was listed before is not to be kept

    def has(self, folder: str, inode: int) -> bool:
        """Tell whether a folder was listed lately."""
        return self._find(folder, inode) is not None

    def files(self, folder: str, inode: int) -> Mapping[str, IdentityRow]:
        """Return the files of a folder as they were listed and taken in lately."""
        listing = self._find(folder, inode)
        return {} if listing is None else listing.files

    def keep(self, listings: Sequence[Listing], *, losses: int) -> None:
        """Remember listings that were taken in; ``losses`` is of before they were made."""
        if losses != self.losses:
            return
        until, entries = self._clock.monotonic() + KEPT_SECONDS, sum(map(_entries, listings))
        if self._entries + entries > ENTRIES_KEPT:
            self._kept, self._entries = {}, 0
        self._kept |= {one.folder: (one, until) for one in listings if one.whole and one.unread is None}
        self._entries += entries

    def forget(self, deleted: AbstractSet[str]) -> None:
        """Forget what is, or lies in, something that was deleted or moved away."""
        if not deleted:
            return
        self.losses += 1
        now, kept = self._clock.monotonic(), self._kept.items()
        self._kept = {
            folder: (listing, until)
            for folder, (listing, until) in kept
            if now < until and deleted.isdisjoint(upwards(folder))
        }
        self._entries = sum(_entries(listing) for listing, _ in self._kept.values())

    def clear(self) -> None:
        """Forget all: events were lost."""
        self.losses += 1
        self._kept, self._entries = {}, 0

    def _find(self, folder: str, inode: int) -> Listing | None:
        listing, until = self._kept.get(folder, (None, 0.0))
        is_it = listing is not None and listing.inode == inode and self._clock.monotonic() < until
        return listing if is_it else None


def _entries(listing: Listing) -> int:
    return 1 + len(listing.files)

"""Keeps full listings cheap: what the journal is not asked again, and how rare they are by what they cost.

A listing of an idle tree costs a stat of each file. To fetch what the journal knows of each, and to compare
the two, costs half of that once more, for nothing while neither changed. Of the journal's side one number
tells that nothing at all was written; of the other a mark of what was listed, a 64-bit hash, is compared.

All roots together are spaced, on one account, so that huge trees stay cheap.
"""

from __future__ import annotations

from .listing import Listing

FOLDERS_KEPT = 50_000  # some 70 bytes each; the others are asked for by each listing
SCAN_SECONDS = 2.0  # between listings where nothing else gives notice
CPU_FACTOR, CPU_FACTOR_SCANNING = 300, 20  # listings may take 0.33 % of a core; 5 % where they must
UNCOUNTED_FACTOR_MAX = 2  # what a listing has others do is no more than what it does itself


class Unchanged:
    """Marks of folders of one root. A listing asks and tells it in worker threads, one after the other."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._marks, self._writes = set[int](), -1

    def begin(self, writes: int) -> None:
        """Begin a listing; ``writes`` is ``Files.writes`` of this moment: if it differs, believe nothing."""
        if writes != self._writes:
            self._marks.clear()
        self._writes = writes

    def has(self, listing: Listing) -> bool:
        """Tell whether a folder lies there as it lay when it was as the journal knows it still."""
        return _is_whole(listing) and _mark(listing) in self._marks

    def add(self, listing: Listing) -> None:
        """Take in that a folder is as the journal knew it at or after ``begin``."""
        if _is_whole(listing) and len(self._marks) < FOLDERS_KEPT:
            self._marks.add(_mark(listing))


class ListingPace:
    """What the last listing of each root cost. One for all of them."""

    def __init__(self) -> None:
        """Nothing was listed."""
        self._costs: dict[str, float] = {}

    def rest_seconds(
        self, root: str, spent_seconds: float, *, rescan_seconds: float, scanning: bool
    ) -> float:
        """Return how long a root waits after a listing that took so much CPU time.

        ``rescan_seconds`` is the least. With ``scanning`` nothing else tells of changes: no other counts.
        """
        self._costs[root] = 0.0 if scanning else spent_seconds
        if scanning:
            return max(SCAN_SECONDS, CPU_FACTOR_SCANNING * spent_seconds)
        return max(rescan_seconds, CPU_FACTOR * sum(self._costs.values()))

    def forget(self, root: str) -> None:
        """Wait no more for a root that is listed no more."""
        self._costs.pop(root, None)


def cost(counted_seconds: float, process_seconds: float) -> float:
    """Return what a listing cost, in CPU seconds: what the process spent meanwhile, as far as it was for it.

    What its own pieces of work took is counted. They make the event loop and the other threads work, too, as
    much again at most: while there is more than that, somebody else has work.
    """
    return max(counted_seconds, min(process_seconds, UNCOUNTED_FACTOR_MAX * counted_seconds))


def _is_whole(listing: Listing) -> bool:
    return listing.whole and not listing.is_piece


def _mark(listing: Listing) -> int:
    return hash((listing.folder, frozenset(listing.files.values())))

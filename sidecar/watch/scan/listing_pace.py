"""Spaces full listings by what they cost, so that huge trees stay cheap: all roots on one account."""

from __future__ import annotations

SCAN_SECONDS = 2.0  # between listings where nothing else gives notice
CPU_FACTOR, CPU_FACTOR_SCANNING = 300, 20  # listings may take 0.33 % of a core; 5 % where they must
UNCOUNTED_FACTOR_MAX = 2  # what a listing has others do is no more than what it does itself


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

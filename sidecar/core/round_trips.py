"""Tells by small bodies whether what is under way queues somewhere: at S3, or in a buffer on the way.

Their time is the round trip and little else. Where it becomes several times what it was at its best, more at
once brings nothing: everybody waits in a queue that we made. Who calls takes back until it is over; if it is
not although next to nothing is under way, the way itself became longer, and that is the new measure.
"""

from __future__ import annotations

from typing import NamedTuple

SMALL_BYTES = 32 * 1024
LONG = 4.0  # times the best
SLACK_SECONDS = 0.25  # more than that, too: what a busy machine takes is no queue
SMOOTHING = 0.1


class RoundTrips(NamedTuple):
    """What was seen, in seconds: smoothed, and the best."""

    usual: float
    best: float

    @property
    def are_long(self) -> bool:
        """Whether they are several times as long as they could be."""
        return self.usual > LONG * self.best + SLACK_SECONDS


def seen(trips: RoundTrips | None, length_bytes: int, seconds: float) -> RoundTrips | None:
    """Take in a body that arrived; large ones tell nothing of it."""
    if length_bytes > SMALL_BYTES:
        return trips
    if trips is None:
        return RoundTrips(usual=seconds, best=seconds)
    usual = trips.usual + SMOOTHING * (seconds - trips.usual)
    return RoundTrips(usual=usual, best=min(trips.best, seconds))


def anew(trips: RoundTrips) -> RoundTrips:
    """Take what is usual for the best that there is."""
    return RoundTrips(usual=trips.usual, best=trips.usual)

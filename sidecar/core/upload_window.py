"""Decides how many bodies go to S3 at once: as many as make the line faster, and no more.

A body that is cut off has to be sent again, so on a slow line few are under way and each is soon over; there
are at least two, so that one that stands still does not hold up the line. On a fast line, or where each
connection is slow and the line is not, many are under way. Only trying shows which it is. Four bodies go at
first, then half as many more are tried while that pays. If it does not pay, what the line carries in
``FULL_SECONDS`` goes at once, and a minute later more are tried again. A body that arrives within five
seconds makes room at once, so that a fast line has 32 under way after three round trips. A stall, or a break
of a body older than five seconds, halves the number.

Where S3 itself asks for less (503 SlowDown) the number is halved, too, and for a minute grows by one with
each round, whatever the line would carry. So it is, by a quarter, where round trips become long, by which S3
or the line asks for less without a word (``round_trips.py``).

A body counts as one; one below ``HEAVY_BYTES`` counts as its share of it, so that small files go in crowds.
Very small ones have a lane of their own (``upload/s3/uplink.py``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from . import round_trips
from .round_trips import RoundTrips

HEAVY_BYTES = 128 * 1024
FIRST = 4.0  # until more is known
FEWEST = 2.0  # one that stands still must not hold up the line
QUICK_SECONDS = 5.0  # who is through so soon risks little: more may go
FULL_SECONDS = 10.0  # what a full line carries in this time is under way
BUSY_SHARE = 0.75  # of the bodies that may go: only what uses the window tells whether it is too narrow
WIDER = 1.5  # one step of trying
NARROWER = 0.75  # one step back, while round trips are long
WORTH = 0.5  # of what it would bring if nothing were shared
SUNK = 0.7  # a line that carries less than this of what it did is measured anew
AGAIN_SECONDS = 60.0  # a full line is tried anew so often
HALVE_SECONDS = 5.0  # bodies that end together are one trouble


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """What was seen for some seconds: so many bodies of so many bytes each moved so much in all."""

    bodies: float
    bytes_per_second: float
    body_bytes: float

    @property
    def body_seconds(self) -> float:
        """How long a body takes."""
        return self.body_bytes * self.bodies / self.bytes_per_second if self.bytes_per_second else 1e9


class Window(NamedTuple):
    """``limit`` bodies may be under way, by weight. ``tried`` is what was seen before it was last opened."""

    most: float
    limit: float = FIRST
    tried: Flow | None = None
    full: Flow | None = None  # what the line carried when more brought nothing
    full_at: float = 0.0
    halved_at: float = float("-inf")
    slowed_at: float = float("-inf")  # S3 asked for less
    trips: RoundTrips | None = None


def opened(most: int) -> Window:
    """Return the window of a line that nobody knows yet."""
    return Window(most=float(most), limit=min(float(most), FIRST))


def weight(length_bytes: int) -> float:
    """Return what a body counts."""
    return min(1.0, max(1, length_bytes) / HEAVY_BYTES)


def passed(window: Window, length_bytes: int, seconds: float, now: float) -> Window:
    """Take in a body that arrived. A quick one makes room for one more: twice as many after each round.

    For a while after trouble only a share of that: one more after each round. While round trips are long it
    is fewer, down to the fewest: then they are as long as the way is.
    """
    trips = round_trips.seen(window.trips, length_bytes, seconds)
    if trips is not None and trips.are_long:
        if window.limit > min(FEWEST, window.most):
            return _less(_knowing(window, trips, window.limit), NARROWER, now)
        trips = round_trips.anew(trips)
    if seconds >= QUICK_SECONDS or window.limit >= window.most:
        return _knowing(window, trips, window.limit)
    calm = now - window.halved_at >= AGAIN_SECONDS
    more = weight(length_bytes) / (1.0 if calm else window.limit)
    return _knowing(window, trips, min(window.most, window.limit + more))


def _knowing(window: Window, trips: RoundTrips | None, limit: float) -> Window:
    """Do what ``_replace`` does, which takes several times as long: this is done for each body."""
    most, _, tried, full, full_at, halved_at, slowed_at, _ = window
    return Window(most, limit, tried, full, full_at, halved_at, slowed_at, trips)


def troubled(window: Window, seconds: float, now: float) -> Window:
    """Take in a body that was cut off after so many seconds: fewer are begun, if they live so long."""
    if seconds < QUICK_SECONDS or now - window.halved_at < HALVE_SECONDS:
        return window
    limit = max(min(FEWEST, window.most), window.limit / 2)
    return window._replace(limit=limit, halved_at=now, tried=None)


def slowed(window: Window, now: float) -> Window:
    """Take in that S3 asks for less; what it refuses of one round is one word."""
    return _less(window, 0.5, now)


def _less(window: Window, share: float, now: float) -> Window:
    if now - window.slowed_at < HALVE_SECONDS:
        return window
    limit = max(min(FEWEST, window.most), window.limit * share)
    return window._replace(limit=limit, halved_at=now, slowed_at=now, tried=None, full=None)


def is_used(window: Window, flow: Flow) -> bool:
    """Tell whether about as many bodies as may were under way; a limit of 2.7 lets two go."""
    return flow.bodies >= BUSY_SHARE * int(window.limit)


def measured(window: Window, flow: Flow, now: float) -> Window:
    """Take in what was seen while as many as may were under way."""
    if now - window.slowed_at < AGAIN_SECONDS:  # what the line carries is not what S3 takes
        return window
    if flow.body_seconds < QUICK_SECONDS:
        return _widened(window, flow, 2.0)._replace(full=None)
    return _while_open(window, flow, now) if window.full is None else _while_full(window, flow, now)


def _while_open(window: Window, flow: Flow, now: float) -> Window:
    before = window.tried
    if before is None or flow.bodies <= before.bodies:
        return _widened(window, flow, WIDER)
    gain = flow.bytes_per_second / before.bytes_per_second - 1 if before.bytes_per_second else 1.0
    if gain >= WORTH * (flow.bodies / before.bodies - 1):
        return _widened(window, flow, WIDER)
    return _fitted(window._replace(full=flow, full_at=now, tried=None), flow)


def _while_full(window: Window, flow: Flow, now: float) -> Window:
    full = window.full or flow
    sunk = flow.bytes_per_second < SUNK * full.bytes_per_second and flow.bodies < full.bodies
    if sunk or now - window.full_at >= AGAIN_SECONDS:
        return _widened(window._replace(full=None), flow, WIDER)
    return _fitted(window, flow)


def _widened(window: Window, flow: Flow, factor: float) -> Window:
    limit = max(window.limit, min(window.most, max(flow.bodies * factor, flow.bodies + 1)))
    return window._replace(limit=limit, tried=flow)


def _fitted(window: Window, flow: Flow) -> Window:
    """Hold what the line carries in ``FULL_SECONDS``."""
    carried = flow.bytes_per_second * FULL_SECONDS / max(1.0, flow.body_bytes)
    most = min(window.most, max(FEWEST, (window.full or flow).bodies))
    return window._replace(limit=min(most, max(min(FEWEST, window.most), carried)))

"""Decides when a call has come to a standstill. No time limit is on a body, only on its standing still.

Slowness is no standstill: whatever moves, however slowly, is left alone, unless others fare far better
beside it or the peer drips on purpose. None of this is ever an object's fault. With S3's limit of 30 s on
standing still:

- A body of which nothing arrives for 15 s while the line moves for others has a dead connection, and is
  begun anew. So has one that creeps 20 times slower than others. If nothing else is on the line S3 is asked
  (HeadBucket).
- While nothing moves for anybody a new connection would meet the same line and send everything again. Then a
  body is left for 90 s.
- A relay with full buffers takes nothing for long and then much. Where each body gets little of the line it
  is left for as long as 128 KiB take.
- Once all has arrived the answer is awaited for 30 s, and for as long as a proxy may need to carry the body
  on: at first at 8 KiB/s, then four times as long as bodies took of late, and five minutes at most.
- A peer that drips comes to an end after ten minutes and a second for each KiB; a question after four times
  its limit.
- A question's limit does not run while our own bodies move, because it queues behind them. So a line that we
  fill is no outage.

Pure: a call's ``Trip`` says what was seen of it, and the seconds are those of one monotonic clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

ALONE_TIMES = 3.0  # so much longer a body is left that stands still together with the whole line
PROVEN_SHARE = 0.5  # so much sooner it is given up while the line moves for others, ...
STEP_BYTES = 128 * 1024  # a peer with full buffers may take nothing until so much of them is empty again
ASK_SHARE = 1 / 3  # ... which is then asked for so long before
TOTAL_TIMES = 4.0  # a call without a body, in all: whatever else moves
FORWARD_BYTES_PER_SECOND = 8 * 1024  # a proxy has taken a body, and may yet have to carry it over a slow line
FORWARD_SECONDS_MAX = 300.0
FORWARD_TIMES = 4.0  # as long as bodies took of late
DRIP_SECONDS = 600.0
DRIP_BYTES_PER_SECOND = 1024  # and yet in all no longer than at this rate
SPAN_SECONDS = 20.0  # over which bodies are compared
LAG_TIMES = 20.0  # so many times slower than another is on a bad connection
LAG_SECONDS = 60.0  # if it would take longer than this


class Ending(StrEnum):
    """Why a call is given up: the codes of its error, never an object's fault."""

    STALLED = "Stalled"
    TOO_SLOW = "TooSlow"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trip:
    """What is known of a call.

    ``silent_seconds`` is its limit on standing still. ``moved_at``: when a byte of it last arrived on the
    other side, or came back. ``arrived_bytes`` of ``length_bytes`` did; ``is_out``: all of them. ``pace`` is
    bytes a second over the last ``SPAN_SECONDS``, None before.
    """

    silent_seconds: float
    begun_at: float
    moved_at: float
    length_bytes: int = 0
    arrived_bytes: int = 0
    is_connected: bool = False
    is_out: bool = False
    pace: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Others:
    """What the other calls on the line do.

    It moved last at ``moved_at``, and has moved without a break since ``moving_since``; a question that went
    unanswered was given up at ``mute_at``. ``pace`` is the best of the bodies beside this one (None if it is
    alone), ``fair_pace`` each one's share of what they all moved of late, ``usual_pace`` that of those that
    arrived of late, from begin to answer.
    """

    moved_at: float = float("-inf")
    moving_since: float = float("inf")
    mute_at: float = float("-inf")
    pace: float | None = None
    fair_pace: float | None = None
    usual_pace: float | None = None


def ending(trip: Trip, others: Others, now: float) -> Ending | None:
    """Tell whether a call has come to its end, and why."""
    if trip.length_bytes == 0:
        return _of_question(trip, others, now)
    if now - trip.begun_at > DRIP_SECONDS + trip.length_bytes / DRIP_BYTES_PER_SECOND:
        return Ending.TOO_SLOW
    silent = now - trip.moved_at
    if trip.is_out:
        return _unanswered(trip, others, silent)
    if silent > trip.silent_seconds * ALONE_TIMES:
        return Ending.STALLED
    if silent > proof_seconds(trip, others) and _moves(trip, others, now):
        return Ending.STALLED
    return Ending.TOO_SLOW if _moves(trip, others, now) and _lags(trip, others) else None


def wants_proof(trip: Trip, others: Others, now: float) -> bool:
    """Tell whether it matters by now if S3 is there: a question is to be asked."""
    share = 1.0 if trip.is_out else 1 - ASK_SHARE
    return trip.length_bytes > 0 and now - trip.moved_at > share * proof_seconds(trip, others)


def proof_seconds(trip: Trip, others: Others) -> float:
    """Return after which silence it matters whether the line moves for others.

    Connecting takes longer; and what is taken in steps moves seldom where a body gets little of the line.
    """
    if trip.is_out or not trip.is_connected:
        return trip.silent_seconds
    slowest = min(filter(None, (others.fair_pace, others.usual_pace)), default=None)
    step_seconds = STEP_BYTES / slowest if slowest else 0.0
    return min(trip.silent_seconds * ALONE_TIMES, max(trip.silent_seconds * PROVEN_SHARE, step_seconds))


def gap_seconds(silent_seconds: float) -> float:
    """Return how long a line may pause that is said to move."""
    return silent_seconds * ASK_SHARE


def _moves(trip: Trip, others: Others, now: float) -> bool:
    """Tell whether the line has moved for a while; one that is just back has us wait a little more."""
    while_seconds = ASK_SHARE * PROVEN_SHARE * trip.silent_seconds
    is_moving = now - others.moved_at <= gap_seconds(trip.silent_seconds)
    return is_moving and now - others.moving_since > while_seconds


def _unanswered(trip: Trip, others: Others, silent: float) -> Ending | None:
    """Judge a body that waits for its answer: a proxy may have to carry it on, a mute S3 has not."""
    if silent > trip.silent_seconds and others.mute_at > trip.moved_at + trip.silent_seconds:
        return Ending.STALLED
    return Ending.STALLED if silent > trip.silent_seconds + _forward_seconds(trip, others) else None


def _of_question(trip: Trip, others: Others, now: float) -> Ending | None:
    """Judge a question: it may queue behind our own bodies, but a hanging S3 takes none of them."""
    if now - max(trip.moved_at, others.moved_at) > trip.silent_seconds:
        return Ending.STALLED
    total = TOTAL_TIMES * trip.silent_seconds + trip.arrived_bytes / DRIP_BYTES_PER_SECOND
    return Ending.TOO_SLOW if now - trip.begun_at > total else None


def _forward_seconds(trip: Trip, others: Others) -> float:
    if others.usual_pace:
        return min(FORWARD_SECONDS_MAX, FORWARD_TIMES * trip.length_bytes / others.usual_pace)
    return min(FORWARD_SECONDS_MAX, trip.length_bytes / FORWARD_BYTES_PER_SECOND)


def _lags(trip: Trip, others: Others) -> bool:
    """Tell whether a body creeps while others run: on a new connection it will be over sooner."""
    best = others.pace if others.pace is not None else others.usual_pace
    if not trip.pace or best is None or trip.pace * LAG_TIMES >= best:
        return False  # what does not move at all is no laggard
    left_bytes = trip.length_bytes - trip.arrived_bytes
    again_seconds = LAG_TIMES * trip.length_bytes / best
    return left_bytes > max(LAG_SECONDS, again_seconds) * trip.pace

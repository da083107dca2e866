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

Pure: a call's ``CallState`` says what was seen of it, and the seconds are those of one monotonic clock.
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


class Standstill(StrEnum):
    """Why a call is given up: the codes of its error, never an object's fault."""

    STALLED = "Stalled"
    TOO_SLOW = "TooSlow"


@dataclass(frozen=True, slots=True, kw_only=True)
class CallState:
    """What is known of a call.

    ``silent_seconds`` is its limit on standing still. ``moved_at``: when a byte of it last arrived on the
    other side, or came back. ``arrived_bytes`` of ``length_bytes`` did; ``is_out``: all of them.
    ``bytes_per_second`` is bytes a second over the last ``SPAN_SECONDS``, None before.
    """

    silent_seconds: float
    begun_at: float
    moved_at: float
    length_bytes: int = 0
    arrived_bytes: int = 0
    is_connected: bool = False
    is_out: bool = False
    bytes_per_second: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LineState:
    """What the other calls on the line do.

    It moved last at ``moved_at``, and has moved without a break since ``moving_since``; a question that went
    unanswered was given up at ``mute_at``. ``bytes_per_second`` is the best of the bodies beside this one
    (None if it is alone), ``fair_bytes_per_second`` each one's share of what they all moved of late,
    ``usual_bytes_per_second`` that of those that arrived of late, from begin to answer.
    """

    moved_at: float = float("-inf")
    moving_since: float = float("inf")
    mute_at: float = float("-inf")
    bytes_per_second: float | None = None
    fair_bytes_per_second: float | None = None
    usual_bytes_per_second: float | None = None


def ending(call: CallState, line_state: LineState, now: float) -> Standstill | None:
    """Tell whether a call has come to its end, and why."""
    if call.length_bytes == 0:
        return _of_question(call, line_state, now)
    if now - call.begun_at > DRIP_SECONDS + call.length_bytes / DRIP_BYTES_PER_SECOND:
        return Standstill.TOO_SLOW
    silent = now - call.moved_at
    if call.is_out:
        return _unanswered(call, line_state, silent)
    if silent > call.silent_seconds * ALONE_TIMES:
        return Standstill.STALLED
    if silent > proof_seconds(call, line_state) and _moves(call, line_state, now):
        return Standstill.STALLED
    return Standstill.TOO_SLOW if _moves(call, line_state, now) and _lags(call, line_state) else None


def wants_proof(call: CallState, line_state: LineState, now: float) -> bool:
    """Tell whether it matters by now if S3 is there: a question is to be asked."""
    share = 1.0 if call.is_out else 1 - ASK_SHARE
    return call.length_bytes > 0 and now - call.moved_at > share * proof_seconds(call, line_state)


def proof_seconds(call: CallState, line_state: LineState) -> float:
    """Return after which silence it matters whether the line moves for others.

    Connecting takes longer; and what is taken in steps moves seldom where a body gets little of the line.
    """
    if call.is_out or not call.is_connected:
        return call.silent_seconds
    slowest = min(
        filter(None, (line_state.fair_bytes_per_second, line_state.usual_bytes_per_second)), default=None
    )
    step_seconds = STEP_BYTES / slowest if slowest else 0.0
    return min(call.silent_seconds * ALONE_TIMES, max(call.silent_seconds * PROVEN_SHARE, step_seconds))


def gap_seconds(silent_seconds: float) -> float:
    """Return how long a line may pause that is said to move."""
    return silent_seconds * ASK_SHARE


def _moves(call: CallState, line_state: LineState, now: float) -> bool:
    """Tell whether the line has moved for a while; one that is just back has us wait a little more."""
    while_seconds = ASK_SHARE * PROVEN_SHARE * call.silent_seconds
    is_moving = now - line_state.moved_at <= gap_seconds(call.silent_seconds)
    return is_moving and now - line_state.moving_since > while_seconds


def _unanswered(call: CallState, line_state: LineState, silent: float) -> Standstill | None:
    """Judge a body that waits for its answer: a proxy may have to carry it on, a mute S3 has not."""
    if silent > call.silent_seconds and line_state.mute_at > call.moved_at + call.silent_seconds:
        return Standstill.STALLED
    return Standstill.STALLED if silent > call.silent_seconds + _forward_seconds(call, line_state) else None


def _of_question(call: CallState, line_state: LineState, now: float) -> Standstill | None:
    """Judge a question: it may queue behind our own bodies, but a hanging S3 takes none of them."""
    if now - max(call.moved_at, line_state.moved_at) > call.silent_seconds:
        return Standstill.STALLED
    total = TOTAL_TIMES * call.silent_seconds + call.arrived_bytes / DRIP_BYTES_PER_SECOND
    return Standstill.TOO_SLOW if now - call.begun_at > total else None


def _forward_seconds(call: CallState, line_state: LineState) -> float:
    if line_state.usual_bytes_per_second:
        return min(FORWARD_SECONDS_MAX, FORWARD_TIMES * call.length_bytes / line_state.usual_bytes_per_second)
    return min(FORWARD_SECONDS_MAX, call.length_bytes / FORWARD_BYTES_PER_SECOND)


def _lags(call: CallState, line_state: LineState) -> bool:
    """Tell whether a body creeps while others run: on a new connection it will be over sooner."""
    best = (
        line_state.bytes_per_second
        if line_state.bytes_per_second is not None
        else line_state.usual_bytes_per_second
    )
    if not call.bytes_per_second or best is None or call.bytes_per_second * LAG_TIMES >= best:
        return False  # what does not move at all is no laggard
    left_bytes = call.length_bytes - call.arrived_bytes
    again_seconds = LAG_TIMES * call.length_bytes / best
    return left_bytes > max(LAG_SECONDS, again_seconds) * call.bytes_per_second

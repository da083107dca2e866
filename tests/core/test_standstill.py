"""When a call is given up, on a clock that is an argument."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.standstill import CallState, LineState, Standstill, ending, wants_proof

MB = 1_000_000
BODY = CallState(silent_seconds=30, begun_at=0, moved_at=0, length_bytes=MB, is_connected=True)
QUESTION = CallState(silent_seconds=10, begun_at=0, moved_at=0)
NOBODY = LineState()


def moving(now: float, **more: float) -> LineState:
    """Return a line that has moved for others all the time."""
    return LineState(moved_at=now, moving_since=0.0, **more)


@given(gap=st.floats(0.01, 14.9), seconds=st.floats(1, 500), pace=st.floats(1, 1e6), line_state=st.booleans())
def test_a_body_of_which_any_byte_moves_is_left_alone(
    gap: float, seconds: float, pace: float, *, line_state: bool
) -> None:
    """However slowly, whatever others do, as long as they are not far faster."""
    call = replace(BODY, moved_at=max(0.0, seconds - gap), arrived_bytes=1, bytes_per_second=pace)
    line = replace(moving(seconds) if line_state else NOBODY, bytes_per_second=pace * 19)
    assert ending(call, line, seconds) is None


def test_a_body_whose_connection_is_dead_is_given_up_while_the_line_moves() -> None:
    """After 15 s and not before; without a word from others it is asked for."""
    assert ending(BODY, moving(14.9), 14.9) is None
    assert ending(BODY, moving(15.1), 15.1) is Standstill.STALLED
    assert ending(BODY, NOBODY, 31) is None
    assert wants_proof(BODY, NOBODY, 11)
    assert ending(BODY, LineState(moved_at=12, moving_since=11), 16.5) is Standstill.STALLED


def test_a_body_waits_for_a_line_that_is_down_for_a_minute() -> None:
    """Nothing moves for anybody: a new connection would meet the same line. When it is back there is time."""
    assert ending(BODY, NOBODY, 60) is None
    assert ending(BODY, LineState(moved_at=61, moving_since=60), 62) is None
    assert ending(BODY, NOBODY, 91) is Standstill.STALLED


def test_where_each_gets_little_a_connection_may_pause_longer() -> None:
    """A relay with full buffers opens its window in steps: 2 kB/s for each make that a minute."""
    assert ending(BODY, moving(60, fair_bytes_per_second=2000.0), 60) is None
    assert ending(BODY, moving(70, fair_bytes_per_second=2000.0), 70) is Standstill.STALLED


def test_connecting_may_take_longer() -> None:
    """Its packets queue behind our own bytes, three times over with TLS."""
    connecting = replace(BODY, is_connected=False)
    assert ending(connecting, moving(29), 29) is None
    assert ending(connecting, moving(31), 31) is Standstill.STALLED


@pytest.mark.parametrize(
    ("length", "line_state", "patient_until"),
    [
        (10_000, NOBODY, 31),
        (MB, NOBODY, 150),  # a proxy may have to carry it over a slow line
        (8 * MB, NOBODY, 330),
        (MB, LineState(usual_bytes_per_second=MB), 33),  # such bodies took a second
        (MB, LineState(usual_bytes_per_second=20_000), 229),
        (8 * MB, LineState(mute_at=61), 60.9),  # S3 answers nobody
    ],
)
def test_the_answer_to_a_body_that_arrived_is_waited_for(
    length: int, line_state: LineState, patient_until: float
) -> None:
    """As long as a proxy on the way may need to carry it on."""
    out = replace(BODY, length_bytes=length, arrived_bytes=length, is_out=True, moved_at=0)
    if line_state.mute_at < 0:
        assert ending(out, line_state, patient_until) is None
    assert ending(out, line_state, patient_until + 3) is Standstill.STALLED


def test_a_body_that_creeps_while_others_run_is_begun_anew() -> None:
    """Twenty times slower, and it would take minutes: its connection is bad."""
    slow = replace(BODY, moved_at=40, arrived_bytes=20_000, bytes_per_second=500.0)
    assert ending(slow, moving(40, bytes_per_second=50_000), 40) is Standstill.TOO_SLOW
    assert ending(slow, moving(40, bytes_per_second=9_000), 40) is None
    assert ending(replace(slow, arrived_bytes=MB - 1000), moving(40, bytes_per_second=50_000), 40) is None, (
        "nearly there"
    )
    assert ending(slow, moving(40, usual_bytes_per_second=50_000), 40) is Standstill.TOO_SLOW, (
        "alone: what they took before counts"
    )
    assert ending(slow, moving(40, bytes_per_second=600, usual_bytes_per_second=50_000), 40) is None, (
        "but not if all have become slow"
    )


def test_a_line_that_goes_down_is_no_lag() -> None:
    """What was seen last of one body lies before what was seen last of another: both stand still."""
    still = replace(BODY, moved_at=20, arrived_bytes=20_000, bytes_per_second=0.0)
    down = LineState(moved_at=30, moving_since=0, bytes_per_second=400.0)
    assert ending(replace(still, moved_at=31), replace(down, moved_at=35), 36) is None
    assert ending(replace(still, bytes_per_second=5.0), down, 45) is None


def test_a_peer_that_drips_on_purpose_comes_to_an_end() -> None:
    """A byte now and then, for ever: the whole has a limit, far off."""
    call = replace(BODY, moved_at=1500, bytes_per_second=10.0)
    assert ending(call, NOBODY, 1500) is None
    assert ending(replace(call, moved_at=1700), NOBODY, 1700) is Standstill.TOO_SLOW


def test_a_question_waits_behind_our_own_bodies() -> None:
    """A line full of our bytes answers late; one on which nothing moves does not answer at all."""
    assert ending(QUESTION, NOBODY, 10.1) is Standstill.STALLED
    assert ending(QUESTION, moving(35), 35) is None
    assert ending(QUESTION, moving(41), 41) is Standstill.TOO_SLOW
    listing = replace(QUESTION, moved_at=100, arrived_bytes=100_000)
    assert ending(listing, moving(100), 100) is None, "a page that comes slowly comes"

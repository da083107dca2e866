"""What a remote's Date headers say of our own clock."""

from __future__ import annotations

import pytest

from sidecar.core.clock import RemoteClock, disagreement, is_near
from tests.support.clock import ManualClock

DATE = "Tue, 01 Jan 2030 00:00:00 GMT"
SECONDS = 1_893_456_000
MONTH_SECONDS = 30 * 86_400


def test_skew_is_ours_minus_theirs() -> None:
    """Nothing is known before the first answer."""
    clock = ManualClock()
    remote = RemoteClock(clock)
    assert remote.skew_seconds is None
    remote.learn(DATE)
    assert remote.skew_seconds == pytest.approx(clock.wall_ms() / 1000 - SECONDS)
    assert remote.now_seconds() == SECONDS


@pytest.mark.parametrize("jump", [MONTH_SECONDS, -MONTH_SECONDS])
def test_a_jump_of_our_clock_shows_without_another_answer(jump: int) -> None:
    """What is judged by age must not trust a clock that was right an hour ago."""
    clock = ManualClock()
    clock.wall = SECONDS * 1000
    remote = RemoteClock(clock)
    remote.learn(DATE)
    clock.advance(3600)
    assert remote.skew_seconds == pytest.approx(0)
    clock.wall += jump * 1000
    assert remote.skew_seconds == pytest.approx(jump)
    assert remote.now_seconds() == SECONDS + 3600


@pytest.mark.parametrize("date", [None, "", "yesterday", "Tue, 99 Jan 2030 00:00:00 GMT", "\x00"])
def test_a_date_that_is_none_is_passed_over(date: str | None) -> None:
    """Proxies write what they like."""
    remote = RemoteClock(ManualClock())
    remote.learn(date)
    assert remote.skew_seconds is None


@pytest.mark.parametrize(
    ("skew_seconds", "near", "said"),
    [
        (None, False, None),
        (-899.0, True, None),
        (4 * 3600.0, False, "240 min ahead of S3's"),
        (-30 * 86_400.0, False, "43200 min behind S3's"),
    ],
)
def test_a_clock_that_is_known_to_be_wrong_is_said(
    skew_seconds: float | None, near: bool, said: str | None
) -> None:
    """One that is not known is not trusted, and no news either."""
    assert is_near(skew_seconds) is near
    sentence = disagreement("S3", skew_seconds)
    assert sentence is None if said is None else said in str(sentence)

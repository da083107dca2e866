"""Who goes first."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.upload_order import (
    ANY,
    CROWD,
    PILES,
    QueuedBody,
    Rank,
    UploadQueue,
    UploadRoom,
    reserved,
    room,
)

MIB = 1 << 20
PART, SMALL = 8 * MIB, 50 * 1024
FILM = Rank(priority=3, is_large=True, is_fresh=True, number=0)
CHUNK = replace(FILM, is_large=False)


def waiting(rank: Rank, length_bytes: int, item: str) -> QueuedBody[str]:
    """Return a body that waits."""
    return QueuedBody(rank=rank, size=1, length_bytes=length_bytes, item=item)


def queued(*ones: QueuedBody[str]) -> UploadQueue[str]:
    """Let them come in this order."""
    turns = UploadQueue[str]()
    for one in ones:
        turns.add(one)
    return turns


def in_order(turns: UploadQueue[str]) -> list[str]:
    """Let everybody go."""
    gone = []
    while (one := turns.first()) is not None:
        turns.go(one)
        gone.append(one.item)
    return gone


def test_what_is_begun_is_finished_first() -> None:
    """Urgent ones, then films begun in an earlier attempt by age, then in the order of the claim."""
    turns = queued(
        *(waiting(replace(FILM, number=n), PART, f"film {n}") for n in (1, 0) for _ in range(2)),
        *(waiting(replace(FILM, is_fresh=False, number=n), PART, f"begun {n}") for n in (900, 70)),
        waiting(replace(FILM, priority=5), PART, "combined"),
        waiting(replace(FILM, priority=1, number=99), PART, "urgent"),
    )
    assert in_order(turns) == [
        *("urgent", "begun 70", "begun 900"),
        *("film 0", "film 0", "film 1", "film 1", "combined"),
    ]


def test_small_files_and_large_ones_share_by_halves_while_both_wait() -> None:
    """One small file passes by a giant; a crowd of them takes no more than the giant gets."""
    parts = [waiting(FILM, PART, "part") for _ in range(128)]
    assert in_order(queued(*parts, waiting(CHUNK, SMALL, "small")))[0] == "small"
    gone = in_order(queued(*parts, *(waiting(CHUNK, SMALL, "small") for _ in range(2_000))))
    until_last_small = gone[: max(n for n, name in enumerate(gone) if name == "small")]
    assert until_last_small.count("part") == pytest.approx(2_000 * SMALL / PART, abs=1)


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 100), st.integers(0, 2)), max_size=60), st.data())
def test_whatever_comes_and_goes_neither_half_is_ever_behind_by_more_than_two_bodies(
    bodies: list[tuple[bool, int, int]], data: st.DataObject
) -> None:
    """And nobody is forgotten, or goes before somebody who is more urgent, but for an eighth of the bytes."""
    turns, lead, waits = UploadQueue[str](), dict.fromkeys(range(3), 0), list[QueuedBody[str]]()
    passed_bytes = 0  # of the most urgent, since others wait and had their share
    while bodies or waits:
        if bodies and (not waits or data.draw(st.booleans())):
            is_large, length, priority = bodies.pop()
            rank = Rank(priority=priority, is_large=is_large, is_fresh=True, number=len(bodies))
            waits.append(waiting(rank, length, ""))
            turns.add(waits[-1])
            continue
        one = turns.first()
        assert one is not None
        levels = {other.rank.priority for other in waits}
        if one.rank.priority == min(levels):
            passed_bytes = passed_bytes + one.length_bytes if len(levels) > 1 else 0
            assert passed_bytes <= 7 * 100 + 100
        else:
            assert passed_bytes >= 7 * one.length_bytes
            passed_bytes = 0
        beside = {other.rank.is_large for other in waits if other.rank.priority == one.rank.priority}
        signed = -one.length_bytes if one.rank.is_large else one.length_bytes
        lead[one.rank.priority] = lead[one.rank.priority] + signed if len(beside) > 1 else 0
        assert abs(lead[one.rank.priority]) <= 100
        turns.go(one)
        waits.remove(one)
    assert not turns.levels


def test_whatever_is_more_urgent_each_other_priority_has_its_part_of_an_eighth_of_the_line() -> None:
    """Thumbnails without end: of 64 MiB one part, of a scene's film and of the combined one in turn."""
    turns = queued(
        *(waiting(replace(FILM, priority=n), PART, f"part of {n}") for n in (3, 5) for _ in range(3))
    )
    thumbnail = waiting(replace(CHUNK, priority=0), MIB, "thumbnail")
    gone = []
    for _ in range(4 * 57):
        turns.add(thumbnail)
        gone.append(turns.first() or thumbnail)
        turns.go(gone[-1])
        if gone[-1] is not thumbnail:
            turns.drop(thumbnail)
    parts = [n for n, one in enumerate(gone) if one is not thumbnail]
    assert [gone[n].item for n in parts] == ["part of 3", "part of 5", "part of 3", "part of 5"]
    assert parts == [56, 113, 170, 227]


def test_some_places_are_for_what_is_less_urgent_than_all_that_takes_them() -> None:
    """Only where all are taken; an eighth of them, one at least; the priorities take turns."""
    urgent = [replace(CHUNK, priority=0)] * 16
    assert reserved(urgent[1:], wanted=16, served=-1) is None
    assert reserved(urgent, wanted=16, served=-1) == UploadRoom(count=2, least_priority=1)
    assert reserved([*urgent, FILM], wanted=16, served=3) == UploadRoom(count=1, least_priority=4)
    assert reserved([*urgent, FILM, FILM], wanted=16, served=3) is None
    assert reserved(urgent[:1], wanted=1, served=-1) == UploadRoom(count=1, least_priority=1)


def test_nobody_waits_for_a_place_behind_less_urgent_ones() -> None:
    """Films hold all places: what is more urgent, or small, gets further ones, so many and no more."""
    films = [FILM] * 4
    assert room(films[:3], wanted=4, part_bytes=PART) == UploadRoom(count=1)
    assert room(films, wanted=4, part_bytes=PART) == UploadRoom(count=4, priority=3, shorter_than_bytes=PART)
    beside = [*films, CHUNK, CHUNK, replace(FILM, priority=1)]
    assert room(beside, wanted=4, part_bytes=PART) == UploadRoom(count=1, priority=3, shorter_than_bytes=PART)
    small = [CHUNK] * 4
    assert room(small, wanted=4, part_bytes=PART) == UploadRoom(count=4, priority=2, shorter_than_bytes=ANY)
    assert room([replace(CHUNK, priority=0)] * 4, wanted=4, part_bytes=PART) is None
    pile = [replace(FILM, priority=9 - n // 4) for n in range(4 * PILES)]
    assert room(pile, wanted=4, part_bytes=PART) is None
    assert room(pile[1:], wanted=4, part_bytes=PART) == UploadRoom(
        count=1, priority=10 - PILES, shorter_than_bytes=PART
    )


def test_light_files_go_in_crowds_and_nothing_else_does() -> None:
    """Until there are four times as many as wanted, or one of them is not light. Of others as many more."""
    light = replace(CHUNK, is_light=True)
    assert room([], wanted=4, part_bytes=PART) == UploadRoom(count=4, light=16)
    assert room([light], wanted=4, part_bytes=PART) == UploadRoom(count=3, light=15)
    assert room([light] * 4, wanted=4, part_bytes=PART) == UploadRoom(count=4, light=12)
    assert room([light] * 13, wanted=4, part_bytes=PART) == UploadRoom(count=3, light=3)
    assert room([light] * CROWD * 4, wanted=4, part_bytes=PART) == UploadRoom(count=4, priority=2)
    assert room([*[light] * 4, CHUNK], wanted=4, part_bytes=PART) == UploadRoom(count=4, priority=2)

"""How many bodies go at once, on simulated lines: each second every body under way moves its share."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sidecar.core import upload_window
from sidecar.core.upload_window import FEWEST, HEAVY_BYTES, Flow, Window

MOST = 40
MB = 1_000_000
LOOK_SECONDS = 3


@dataclass
class Line:
    """A line that carries so much in all, and so much for each connection. There is always more to send."""

    in_all: float
    for_each: float = float("inf")
    body_bytes: int = MB
    window: Window = field(default_factory=lambda: upload_window.opened(MOST))
    left: list[float] = field(default_factory=list)
    ages: list[int] = field(default_factory=list)
    now: int = 0
    carried: float = 0.0

    def second(self) -> None:
        """Begin what may begin, move everything, take in what arrives."""
        while (len(self.left) + 1) * upload_window.weight(self.body_bytes) <= self.window.limit:
            self.left.append(self.body_bytes)
            self.ages.append(0)
        moving = len(self.left)
        each = min(self.for_each, self.in_all / moving)
        self.now += 1
        self.carried += sum(min(each, left) for left in self.left)
        self.left = [left - each for left in self.left]
        self.ages = [age + 1 for age in self.ages]
        for age in [age for left, age in zip(self.left, self.ages, strict=True) if left <= 0]:
            self.window = upload_window.passed(self.window, self.body_bytes, age, self.now)
        still = [(left, age) for left, age in zip(self.left, self.ages, strict=True) if left > 0]
        self.left, self.ages = [left for left, _ in still], [age for _, age in still]
        if self.now % LOOK_SECONDS == 0:
            self._look(each, moving)

    def _look(self, each: float, bodies: int) -> None:
        flow = Flow(
            bodies=bodies * upload_window.weight(self.body_bytes),
            bytes_per_second=each * bodies,
            body_bytes=self.body_bytes / upload_window.weight(self.body_bytes),
        )
        if upload_window.is_used(self.window, flow):
            self.window = upload_window.measured(self.window, flow, self.now)

    def run(self, seconds: int) -> Line:
        """Go on for a while."""
        for _ in range(seconds):
            self.second()
        return self


def test_on_a_slow_line_few_bodies_are_begun() -> None:
    """100 kB/s: two bodies of a megabyte at once, not 32 that take minutes each; and the line is full."""
    line = Line(in_all=100_000).run(200)
    assert line.window.limit <= 3
    assert line.carried == pytest.approx(200 * 100_000, rel=0.01)


def test_where_only_each_connection_is_slow_many_are_begun() -> None:
    """A long round trip lets a connection carry 100 kB/s, and the line 40 times that."""
    line = Line(in_all=10 * MB, for_each=100_000, body_bytes=8 * MB).run(60)
    assert line.window.limit >= 32


@pytest.mark.parametrize("body_bytes", [10_000, 200_000, 8 * MB])
def test_on_a_fast_line_nobody_waits(body_bytes: int) -> None:
    """What arrives at once makes room for more: a few rounds, and all that may go does."""
    assert Line(in_all=400 * MB, body_bytes=body_bytes).run(12).window.limit == MOST


def test_small_files_go_in_crowds_from_the_first() -> None:
    """32 files of 15 KB count less than four bodies."""
    assert 32 * upload_window.weight(15_000) <= upload_window.opened(MOST).limit


def test_after_a_stall_fewer_are_begun_and_later_more_again() -> None:
    """Halved once for bodies that end together; then one more for each round that goes well."""
    wide = upload_window.opened(MOST)._replace(limit=32.0)
    halved = upload_window.troubled(upload_window.troubled(wide, 30, 100.0), 30, 100.1)
    assert halved.limit == 16
    assert upload_window.troubled(halved, 30, 110.0).limit == 8
    grown = halved
    for _ in range(16):
        grown = upload_window.passed(grown, HEAVY_BYTES, 1.0, 120.0)
    assert 16.5 < grown.limit <= 17
    for _ in range(16):
        grown = upload_window.passed(grown, HEAVY_BYTES, 1.0, 300.0)
    assert grown.limit > 30, "calm again: twice as many after a round"


def test_s3_that_asks_for_less_gets_half_and_then_one_more_with_each_round() -> None:
    """Of all that it refuses at one time the first counts; a fast line is no reason to hurry for a minute."""
    wide = upload_window.opened(MOST)._replace(limit=32.0)
    halved = upload_window.slowed(upload_window.slowed(wide, 100.0), 100.1)
    assert halved.limit == 16
    assert upload_window.slowed(halved, 110.0).limit == 8
    fast = Flow(bodies=16.0, bytes_per_second=400.0 * MB, body_bytes=8.0 * MB)
    assert upload_window.measured(halved, fast, 120.0) == halved
    grown = halved
    for _ in range(16):
        grown = upload_window.passed(grown, HEAVY_BYTES, 0.1, 120.0)
    assert 16.5 < grown.limit <= 17
    assert upload_window.measured(halved, fast, 161.0).limit == 32
    narrow = halved
    for n in range(20):
        narrow = upload_window.slowed(narrow, 200.0 + 10 * n)
    assert narrow.limit == FEWEST


@dataclass
class Server:
    """Carries out so many requests at once, each in ``seconds``; the others queue. All bodies are small."""

    at_once: int
    seconds: float = 0.2
    body_bytes: int = HEAVY_BYTES // 4
    window: Window = field(default_factory=lambda: upload_window.opened(MOST))
    begun: list[float] = field(default_factory=list)
    now: float = 0.0
    done: int = 0

    def run(self, seconds: float) -> Server:
        """Answer requests, the oldest first; there are always more."""
        until = self.now + seconds
        while self.now < until:
            while (len(self.begun) + 1) * upload_window.weight(self.body_bytes) <= self.window.limit:
                self.begun.append(self.now)
            self.now += self.seconds
            answered, self.begun = self.begun[: self.at_once], self.begun[self.at_once :]
            for begun in answered:
                took = self.now - begun
                self.window = upload_window.passed(self.window, self.body_bytes, took, self.now)
            self.done += len(answered)
        return self

    @property
    def round_trip(self) -> float:
        """Seconds that the next request takes."""
        return self.seconds * (1 + len(self.begun) / self.at_once)


@pytest.mark.parametrize("at_once", [8, 20])
def test_round_trips_that_become_long_make_room_at_a_server_that_is_never_idle(at_once: int) -> None:
    """As many more than it carries out as bring nothing go; and it has always enough to do."""
    server = Server(at_once=at_once).run(60)
    wide = MOST / upload_window.weight(server.body_bytes)
    before = server.done
    server.run(200)
    assert server.done - before >= 0.95 * 200 / server.seconds * at_once
    assert server.round_trip <= 0.7 * server.seconds * wide / at_once
    assert server.window.limit <= 0.7 * MOST


def test_a_way_that_becomes_longer_by_itself_is_the_new_measure() -> None:
    """From 20 ms to two seconds, as over another line: fewer at first, then as many as before."""
    near = Server(at_once=10_000, seconds=0.02).run(1)
    assert near.window.limit == MOST
    far = replace(near, seconds=2.0, begun=[]).run(60)
    assert far.window.limit <= MOST / 2
    assert far.run(300).window.limit == MOST


def test_a_busy_machine_is_no_queue() -> None:
    """A few milliseconds become a hundred, while there is much else to do."""
    assert Server(at_once=160, seconds=0.005).run(0.2).window.limit == MOST
    busy = Server(at_once=160, seconds=0.005).run(0.2)
    assert replace(busy, seconds=0.15, begun=[]).run(20).window.limit == MOST


def test_a_body_that_breaks_at_once_says_nothing_about_how_many_may_go() -> None:
    """A fast line whose connections break here and there is not a full one."""
    wide = upload_window.opened(MOST)._replace(limit=32.0)
    assert upload_window.troubled(wide, 0.5, 100.0) == wide


def test_a_line_that_became_faster_is_noticed() -> None:
    """From 50 kB/s to 5 MB/s: within a few looks more go."""
    line = Line(in_all=50_000).run(120)
    assert line.window.limit <= 3
    line.in_all = 5 * MB
    assert line.run(60).window.limit >= 10


@settings(max_examples=50, deadline=None)
@example(in_all=96_552, for_each=20_000, body_bytes=300_000, troubles=[])  # a limit of 2.7: two may go
@given(
    in_all=st.floats(20_000, 10e6),
    for_each=st.floats(20_000, 10e6),
    body_bytes=st.sampled_from([300_000, MB, 8 * MB]),
    troubles=st.lists(st.integers(1, 100), max_size=5),
)
def test_whatever_the_line_it_is_never_left_idle_and_never_flooded(
    in_all: float, for_each: float, body_bytes: int, troubles: list[int]
) -> None:
    """The limit stays within its bounds, and what the line carries in the end is most of what it could."""
    line = Line(in_all=in_all, for_each=for_each, body_bytes=body_bytes)
    for at in sorted(troubles):
        line.run(max(0, at - line.now))
        line.window = upload_window.troubled(line.window, 30, line.now)
        assert FEWEST <= line.window.limit <= MOST
    line.run(200)
    before = line.carried
    line.run(60)
    assert FEWEST <= line.window.limit <= MOST
    each = min(for_each, body_bytes)  # here a body takes a second at least
    assert (line.carried - before) / 60 >= 0.6 * min(in_all, MOST * each)

"""Pruning as the daemon does it: round after round, in small steps, only by a clock that can be trusted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import pytest

from sidecar.daemon import pruning
from sidecar.daemon.pruning import Pruner
from sidecar.journal.journal import Journal
from sidecar.journal.stores.pruning import ROWS_MAX, SCENES_MAX
from sidecar.journal.writer import JournalWriter
from tests.support.clock import ManualClock
from tests.support.journals import open_journal, ready, route, ship, tell

DAY = 86_400.0
ROWS = ROWS_MAX + 1


class Desk:
    """A pruner, its clock, and what S3's clock says of ours."""

    def __init__(self, journal: JournalWriter, clock: ManualClock) -> None:
        self.journal, self.clock = journal, clock
        self.skew: float | None = 0.0
        self.needed: set[tuple[str, str]] | None = None
        self.forgotten = list[tuple[str, str]]()
        self.pruner = Pruner(
            journal=journal,
            clock=clock,
            keep_seconds=30 * DAY,
            events_seconds=7 * DAY,
            skew_seconds=lambda: self.skew,
            streams=self,
        )

    def needed_playlists(self) -> set[tuple[str, str]] | None:
        """Say what lies on the disk."""
        return self.needed

    def forget_playlists(self, streams: Iterable[tuple[str, str]]) -> None:
        """Note what is forgotten."""
        self.forgotten += streams

    def left(self) -> tuple[int, int, int]:
        """Return how many transfers, events and scenes there are."""
        sql = "SELECT (SELECT count(*) FROM transfers), (SELECT count(*) FROM events), count(*) FROM scenes"
        transfers, events, scenes = self.journal.journal.db.execute(sql).fetchone()
        return transfers, events, scenes


@pytest.fixture
async def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    """Have more superseded rows than one step takes, 31 days ago."""
    monkeypatch.setattr(pruning, "REST_SECONDS", 0.0)
    clock = ManualClock()
    async with JournalWriter(open_journal(tmp_path, clock)) as journal:
        await journal.run(_supersede)
        clock.advance(31 * DAY)
        yield Desk(journal, clock)


def _supersede(journal: Journal) -> None:
    for n in range(1, ROWS + 2):
        transfer = ready(journal, f"text{n}", n, at=route(scene="s1"))
    ship(journal, transfer)
    tell(journal)


async def test_one_round_forgets_all_that_is_old(desk: Desk) -> None:
    """Step after step; the newest row and its scene stay."""
    assert desk.left()[0] == ROWS + 1
    await desk.pruner.prune()
    assert desk.left() == (1, 0, 1)


async def test_playlists_of_which_nothing_lies_on_the_disk_are_forgotten(desk: Desk) -> None:
    """Page after page; none while nobody can tell what lies there."""
    journal, streams = desk.journal.journal, [("demo/old", f"z{n:03}") for n in range(SCENES_MAX + 5)]
    for stream in streams:
        journal.db.execute("INSERT INTO playlists VALUES (?, ?, 'index.m3u8')", stream)
    await desk.pruner.prune()
    assert len(journal.stream_pieces.playlists()) == len(streams)
    desk.needed = {*streams[::2]}
    await desk.pruner.prune()
    assert [*journal.stream_pieces.playlists()] == streams[::2]
    assert desk.forgotten == streams[1::2]


@pytest.mark.parametrize("skew", [None, 16 * 60.0, -30 * DAY])
async def test_a_clock_that_cannot_be_trusted_forgets_nothing(desk: Desk, skew: float | None) -> None:
    """Not before S3 has said what time it is, nor when it says something else."""
    before = desk.left()
    desk.skew = skew
    await desk.pruner.prune()
    assert desk.left() == before


async def test_a_clock_that_jumps_in_the_middle_ends_the_round(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each step asks anew."""
    rest = asyncio.sleep

    async def jump(seconds: float) -> None:
        await rest(seconds)
        desk.skew = 30 * DAY if desk.left()[0] <= ROWS + 1 - ROWS_MAX else 0.0

    monkeypatch.setattr(asyncio, "sleep", jump)
    await desk.pruner.prune()
    assert desk.left()[0] == ROWS + 1 - ROWS_MAX


async def test_rounds_come_by_themselves(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some hundred within the shorter of the two ages, an hour apart at most."""
    rests: list[float] = []

    async def note(seconds: float) -> None:
        rests.append(seconds)
        if len(rests) > 1:
            raise asyncio.CancelledError

    monkeypatch.setattr(asyncio, "sleep", note)
    with pytest.raises(asyncio.CancelledError):
        await desk.pruner.run()
    assert rests[0] == 3600.0

"""A thin line, on which nothing is wrong but that it is thin, or that single connections fail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from sidecar.core.clock import SystemClock
from sidecar.core.model import State
from sidecar.core.upload_order import Rank
from sidecar.local.seaweed import SeaweedServer
from sidecar.upload.limits import MemoryBudget, Place
from sidecar.upload.s3.object_store import S3Store, open_store
from sidecar.upload.s3.uplink import BREAKS_SECONDS, Uplink
from tests.support.relay import Relay, Trouble
from tests.support.seaweed import config_for

from .rig import Rig, content, rig_on, running

KB, MB = 1000, 1_000_000
CONNECTIONS = 40
Lines = Callable[[Relay], AbstractAsyncContextManager["Lined"]]


@dataclass(slots=True, kw_only=True)
class Lined:
    """A rig whose store lies behind a relay."""

    rig: Rig
    relay: Relay
    store: S3Store

    async def bring(self, count: int, size_bytes: int) -> Brought:
        """Ship so many files of that size; return what it cost."""
        stage = self.rig.stage()
        transfers = [await self.rig.file(content(size_bytes), f"b{n}.srt") for n in range(count)]
        loop = asyncio.get_running_loop()
        begun = loop.time()
        async with running(stage):
            while True:
                now = [await self.rig.now(one) for one in transfers]
                if all(one.state in {State.UPLOADED, State.DEAD} for one in now):
                    break
                await asyncio.sleep(0.1)
        return Brought(
            dead=sum(one.state is State.DEAD for one in now),
            spent=sum(one.failures for one in now),
            byte_ratio=self.relay.carried_bytes / (count * size_bytes),
            seconds=loop.time() - begun,
            ideal_seconds=count * size_bytes / self.relay.bytes_per_second,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Brought:
    """What became of the files, and at what cost."""

    dead: int
    spent: int
    byte_ratio: float
    seconds: float
    ideal_seconds: float

    def __str__(self) -> str:
        """Return the figures."""
        times = self.seconds / self.ideal_seconds
        return f"dead {self.dead}, attempts {self.spent}, bytes x{self.byte_ratio:.2f}, time x{times:.2f}"


@pytest.fixture
def uplink(seaweed: SeaweedServer, bucket: str, tmp_path: Path) -> Lines:
    """Open a rig on a line."""

    @asynccontextmanager
    async def opened(relay: Relay) -> AsyncIterator[Lined]:
        config = config_for(seaweed, bucket)
        async with relay.listening():
            thin = replace(config, endpoint_url=relay.url)
            async with (
                open_store(thin, clock=SystemClock(), connections=CONNECTIONS) as store,
                rig_on(store, tmp_path, bucket=bucket) as rig,
            ):
                rig.budget = MemoryBudget(64 << 20, turn=store.uplink.turn)
                yield Lined(rig=rig, relay=relay, store=store)

    return opened


@pytest.fixture
def upstream(seaweed: SeaweedServer) -> tuple[str, int]:
    """Return where SeaweedFS listens."""
    at = urlsplit(seaweed.endpoint_url)
    return at.hostname or "", at.port or 0


async def test_a_thumbnail_does_not_queue_behind_films_on_a_narrow_line() -> None:
    """Small bodies have a lane of their own; a film waits for its turn."""
    uplink, begun = Uplink(most=CONNECTIONS), list[str]()

    async def go(name: str, size_bytes: int) -> None:
        rank = Rank(priority=3, is_large=size_bytes == MB, is_fresh=True, number=0)
        async with Place((uplink.turn,), size_bytes, rank):
            begun.append(name)
            await asyncio.Event().wait()

    films = int(uplink.window.limit) + 1
    tasks = [asyncio.create_task(go("film", MB)) for _ in range(films)]
    tasks += [asyncio.create_task(go("thumbnail", 10 * KB)) for _ in range(32)]
    await asyncio.sleep(0.01)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert (begun.count("film"), begun.count("thumbnail")) == (films - 1, 32)


def test_a_break_is_the_lines_fault_where_others_break_too() -> None:
    """One object alone may be what somebody on the way refuses; after ten minutes it is alone again."""
    uplink = Uplink(most=1)
    assert not uplink.broke("a", 0)
    assert not uplink.broke("a", 10)
    assert uplink.broke("b", 20)
    assert uplink.broke("a", 30)
    assert not uplink.broke("a", 30 + BREAKS_SECONDS)


async def test_a_line_that_is_slow_and_fails_in_places_costs_no_file(
    uplink: Lines, upstream: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each chunk takes longer than the limit on standing still; one connection stalls, one breaks."""
    monkeypatch.setattr("sidecar.upload.s3.calls.STALL_SECONDS", 1.0)
    relay = Relay(
        upstream=upstream,
        bytes_per_second=500 * KB,
        round_trip_seconds=0.05,
        troubles=["stall", "break"],
        every_bytes=600 * KB,
    )
    async with uplink(relay) as lined:
        brought = await lined.bring(5, 400 * KB)
    assert not relay.troubles, "both were met"
    assert (brought.dead, brought.spent) == (0, 0), brought
    assert brought.byte_ratio < 1.5, brought


MATRIX: list[tuple[float, float, int, int, list[Trouble]]] = [
    # bytes a second, round trip, files, bytes of each, troubles
    (20 * KB, 0.0, 10, 200 * KB, []),
    (20 * KB, 0.6, 10, 200 * KB, []),
    (20 * KB, 0.2, 4, 1 * MB, []),
    (20 * KB, 0.2, 20, 100 * KB, ["stall", "break"]),
    (100 * KB, 0.6, 20, 1 * MB, ["break", "break"]),
    (100 * KB, 0.2, 30, 1 * MB, ["stall", "drip"]),
    (100 * KB, 0.2, 400, 20 * KB, ["stall", "break"]),
    (1 * MB, 0.6, 100, 1 * MB, ["stall", "drip", "break"]),
    (1 * MB, 0.05, 3, 40 * MB, ["stall", "break"]),
    (10 * MB, 0.6, 300, 1 * MB, ["break", "break"]),
    (10 * MB, 0.6, 4, 100 * MB, []),
]


@pytest.mark.parametrize(
    "case",
    MATRIX,
    ids=lambda case: (
        f"{case[0] / KB:g}kBps-{case[1]:g}s-{case[2]}x{case[3] / KB:g}kB-{'+'.join(case[4]) or 'well'}"
    ),
)
async def test_the_line_is_used_as_well_as_can_be(
    case: tuple[float, float, int, int, list[Trouble]],
    uplink: Lines,
    upstream: tuple[str, int],
    pytestconfig: pytest.Config,
    record_property: Callable[[str, object], None],
) -> None:
    """0 dead letters, at most 1.1 times the bytes and 1.3 times the time, from 20 kB/s on."""
    if pytestconfig.getoption("--lines") != "all":
        pytest.skip("takes minutes each: --lines=all")
    rate, round_trip, count, size, troubles = case
    relay = Relay(
        upstream=upstream,
        bytes_per_second=rate,
        round_trip_seconds=round_trip,
        troubles=list(troubles),
        every_bytes=count * size // (len(troubles) + 1),
    )
    async with uplink(relay) as lined:
        brought = await lined.bring(count, size)
    record_property("brought", str(brought))
    assert (brought.dead, brought.spent) == (0, 0), brought
    assert brought.byte_ratio < 1.1, brought
    assert brought.seconds < 1.3 * brought.ideal_seconds, brought


async def test_a_line_that_is_down_for_a_minute_has_nothing_sent_twice(
    uplink: Lines, upstream: tuple[str, int], pytestconfig: pytest.Config
) -> None:
    """A new connection would meet the same line: what is under way waits for it."""
    if pytestconfig.getoption("--lines") != "all":
        pytest.skip("takes two minutes: --lines=all")
    now = asyncio.get_running_loop().time()
    relay = Relay(upstream=upstream, bytes_per_second=100 * KB, dark=(now + 15, now + 75))
    async with uplink(relay) as lined:
        brought = await lined.bring(10, 500 * KB)
    assert (brought.dead, brought.spent) == (0, 0), brought
    assert brought.byte_ratio < 1.1, brought
    assert brought.seconds < 60 + 1.3 * brought.ideal_seconds, brought

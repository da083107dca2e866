from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from sidecar.core.clock import Clock, SystemClock
from sidecar.core.upload_order import Rank
from sidecar.upload.limits import Bandwidth, MemoryBudget
from sidecar.upload.s3.payload import THROTTLED_BYTES
from tests.support.patience import DEADLINE_SECONDS
from tests.support.virtual import virtually

CHUNK = Rank(priority=3, is_large=True, is_fresh=True, number=1)
LARGE, SMALL = 600, 10  # of a budget of 1024: lanes of 896 and 128, small up to 16


async def start(
    budget: MemoryBudget, size: int, order: list[str], name: str, rank: Rank = CHUNK
) -> asyncio.Task[None]:
    """Claim in a task that holds until it is cancelled; ``order`` tells who got in."""

    async def hold() -> None:
        async with budget.claim(size, rank):
            order.append(name)
            await asyncio.Event().wait()

    task = asyncio.create_task(hold())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return task


async def stop(*tasks: asyncio.Task[None]) -> None:
    """Cancel tasks and see them end."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_claims_of_one_rank_are_first_come_first_served() -> None:
    """A large claim that waits is not overtaken by one that would fit."""
    budget, order = MemoryBudget(1024), list[str]()
    first = await start(budget, LARGE, order, "first")
    large = await start(budget, LARGE, order, "large")
    later = await start(budget, 100, order, "later")
    assert order == ["first"]
    await stop(first)
    await asyncio.sleep(0)
    assert order == ["first", "large", "later"]
    await stop(large, later)
    assert budget.claimed_bytes == 0


async def test_a_small_claim_does_not_queue_behind_large_ones() -> None:
    """A thumbnail goes while films wait."""
    budget, order = MemoryBudget(1024), list[str]()
    tasks = [await start(budget, LARGE, order, name) for name in ("film", "another film")]
    tasks.append(await start(budget, SMALL, order, "thumbnail"))
    assert order == ["film", "thumbnail"]
    await stop(*tasks)


async def test_a_claim_of_a_higher_rank_overtakes_and_fills_what_others_cannot() -> None:
    """It goes at once if it fits, else as the next one."""
    budget, order = MemoryBudget(1024), list[str]()
    first = await start(budget, LARGE, order, "first")
    later = await start(budget, LARGE, order, "later")
    fits = await start(budget, 100, order, "fits", replace(CHUNK, priority=2))
    urgent = await start(budget, LARGE, order, "urgent", replace(CHUNK, priority=1))
    assert order == ["first", "fits"]
    await stop(first)
    await asyncio.sleep(0)
    assert order == ["first", "fits", "urgent"]
    await stop(later, fits, urgent)
    assert budget.claimed_bytes == 0


async def test_a_claim_that_is_given_up_blocks_nobody() -> None:
    """Cancelled while it waits, or in the very moment when its turn comes."""
    budget, order = MemoryBudget(1024), list[str]()
    first = await start(budget, LARGE, order, "first")
    waits = await start(budget, LARGE, order, "waits")
    after = await start(budget, 100, order, "after")
    await stop(waits)
    await asyncio.sleep(0)
    assert order == ["first", "after"]
    turn = await start(budget, LARGE, order, "turn")
    first.cancel()
    turn.cancel()
    await asyncio.gather(first, turn, return_exceptions=True)
    await stop(after)
    assert budget.claimed_bytes == 0


async def test_a_claim_larger_than_the_budget_is_taken_alone() -> None:
    """A part size above upload.memory slows down, it does not stand still."""
    budget = MemoryBudget(1024)
    async with asyncio.timeout(DEADLINE_SECONDS), budget.claim(10_000, CHUNK):
        assert budget.claimed_bytes == 896
    assert budget.at_once(10_000) == 1
    assert budget.at_once(100) == 8


@pytest.mark.parametrize("takers", [1, 4])
async def test_bandwidth_is_shared_by_all_takers(takers: int) -> None:
    """40 KB at 100 KB/s take no less than 0.3 s, however many take part."""
    clock = SystemClock()
    bandwidth = Bandwidth(100_000, clock=clock)

    async def take() -> None:
        for _ in range(40 // takers):
            await bandwidth.take(1000)

    begun = clock.monotonic()
    await asyncio.gather(*(take() for _ in range(takers)))
    assert 0.3 < clock.monotonic() - begun < 30


@pytest.mark.parametrize("takers", [1, 8])
@pytest.mark.parametrize("bytes_per_second", [256 * 1024, 5_000_000, 100_000_000])
def test_a_bandwidth_limit_is_kept_within_a_twentieth_over_ten_seconds(
    bytes_per_second: int, takers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though every sleep ends two milliseconds late, and large and small chunks go side by side."""
    exact = asyncio.sleep
    monkeypatch.setattr("sidecar.upload.limits.asyncio.sleep", lambda seconds: exact(seconds + 0.002))
    taken = 0

    async def take(bandwidth: Bandwidth, size: int) -> None:
        nonlocal taken
        while True:
            await bandwidth.take(size)
            taken += size

    async def timed(clock: Clock) -> None:
        bandwidth = Bandwidth(bytes_per_second, clock=clock)
        tasks = [asyncio.ensure_future(take(bandwidth, THROTTLED_BYTES >> n % 4)) for n in range(takers)]
        await exact(10.0)
        await stop(*tasks)

    virtually(timed)
    assert taken == pytest.approx(10 * bytes_per_second, rel=0.05)


def test_a_line_that_was_idle_is_not_flooded_afterwards() -> None:
    """A tenth of a second is made up for, not the hour before."""

    async def timed(clock: Clock) -> float:
        bandwidth = Bandwidth(100_000, clock=clock)
        await bandwidth.take(1000)
        await asyncio.sleep(3600.0)
        begun = clock.monotonic()
        for _ in range(101):
            await bandwidth.take(1000)
        return clock.monotonic() - begun

    assert virtually(timed) >= 0.89

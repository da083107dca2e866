"""The time limits of a body on its way: on standing still, and on the whole."""

from __future__ import annotations

import asyncio
import time

import pytest

from sidecar.upload.deadline import Deadline


async def at_once(_: int) -> None:
    """Pace nothing."""


async def chunks(deadline: Deadline, *, every_seconds: float) -> None:
    """Send for ever."""
    paced = deadline.around(at_once)
    async with deadline:
        while True:
            await paced(1)
            await asyncio.sleep(every_seconds)


async def test_a_body_that_drips_for_ever_is_ended() -> None:
    """Each chunk is in time, and the whole is not."""
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        await chunks(Deadline(0.2, total_seconds=0.5), every_seconds=0.05)
    assert 0.4 < time.monotonic() - began < 2


async def test_a_body_that_stands_still_is_ended_sooner() -> None:
    """The whole may take long, a chunk may not."""
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        await chunks(Deadline(0.2, total_seconds=60), every_seconds=30)
    assert time.monotonic() - began < 2


async def test_waiting_for_our_own_bandwidth_limit_is_not_counted() -> None:
    """Neither as standing still nor as part of the whole."""

    async def slowly(_: int) -> None:
        await asyncio.sleep(0.3)

    deadline = Deadline(0.2, total_seconds=0.4)
    paced = deadline.around(slowly)
    async with deadline:
        for _ in range(4):
            await paced(1)

"""Waits for work, or for the time of what is put off."""

from __future__ import annotations

import asyncio

from sidecar.core.clock import Clock


async def wait_for(event: asyncio.Event, due: float | None, *, clock: Clock) -> None:
    """Wait for work, or until ``due`` (monotonic seconds of ``clock``); None: for work alone."""
    try:
        async with asyncio.timeout(None if due is None else max(0.0, due - clock.monotonic())):
            await event.wait()
    except TimeoutError:
        return

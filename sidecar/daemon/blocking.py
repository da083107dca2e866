"""Runs blocking work that a cancelled caller does not leave behind."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def finished(work: Callable[..., T], *args: object, stop: Callable[[], None]) -> T:
    """Do ``work`` in a thread. A cancelled caller calls ``stop`` and waits for its end.

    Python crashes (SIGSEGV) where a thread is in the middle of a statement of a connection that another one
    closes, and whoever is cancelled closes.
    """
    working = asyncio.ensure_future(asyncio.to_thread(work, *args))
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        stop()
        while not working.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait({working})
        with contextlib.suppress(sqlite3.OperationalError):  # SQLite's word for stopped
            working.result()
        raise

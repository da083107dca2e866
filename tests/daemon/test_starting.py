"""A start that cannot go on, as on a full disk, still hears that it is to stop."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from sidecar.daemon import life
from sidecar.daemon.life import TRY_LATER, Life, Signals
from sidecar.settings import Settings

GIVEN = {"s3": {"bucket": "lessons"}, "convex": {"sync": "off"}}


def settings(folder: Path) -> Settings:
    """Return what a life needs, and no more."""
    return Settings.model_validate({**GIVEN, "watch": [{"root": str(folder)}], "shutdown": {"grace": "50ms"}})


async def test_a_start_that_waits_for_room_ends_when_it_is_told_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it had opened is closed; nothing is known to be done, so whoever supervises may try again."""
    steps: list[str] = []
    began = asyncio.Event()

    @asynccontextmanager
    async def waiting(*_: object, **__: object) -> AsyncIterator[None]:
        try:
            began.set()
            await asyncio.Event().wait()
            yield
        finally:
            steps.append("closed")

    monkeypatch.setattr(life, "assemble", waiting)
    given = settings(tmp_path)
    living = asyncio.ensure_future(Life(settings=given, read_again=lambda: given, signals=Signals()).live())
    await began.wait()
    os.kill(os.getpid(), signal.SIGTERM)
    async with asyncio.timeout(10):
        assert await living == TRY_LATER
    assert steps == ["closed"]

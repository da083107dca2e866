"""A start that cannot go on, as on a full disk, still hears that it is to stop."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from sidecar.daemon import run
from sidecar.daemon.run import TRY_LATER, DaemonRun, Signals
from sidecar.settings import Settings
from sidecar.signals import IGNORED, STOPS, Inbox, is_again
from tests.support.patience import DEADLINE_SECONDS

GIVEN = {"s3": {"bucket": "lessons"}, "convex": {"sync": "off"}}


def settings(folder: Path) -> Settings:
    """Return what a life needs, and no more."""
    return Settings.model_validate({**GIVEN, "watch": [{"root": str(folder)}], "shutdown": {"grace": "50ms"}})


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    """An open one; afterwards signals do what they did before."""
    numbers = (*STOPS, *IGNORED, signal.SIGHUP, signal.SIGCHLD)
    before = {number: signal.getsignal(number) for number in numbers}
    opened = Inbox()
    opened.open()
    yield opened
    for number, handler in before.items():
        signal.signal(number, handler)


async def test_a_start_that_waits_for_room_ends_when_it_is_told_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inbox: Inbox
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

    monkeypatch.setattr(run, "assemble", waiting)
    given = settings(tmp_path)
    signals = Signals(inbox)
    living = asyncio.ensure_future(DaemonRun(settings=given, read_again=lambda: given, signals=signals).run())
    await began.wait()
    os.kill(os.getpid(), signal.SIGTERM)
    async with asyncio.timeout(DEADLINE_SECONDS):
        assert await living == TRY_LATER
    assert steps == ["closed"]


async def test_what_was_told_before_the_loop_began_counts_and_its_echo_does_not(inbox: Inbox) -> None:
    """As to PID 1 of a container that is stopped in its first second; the second one is no haste."""
    os.kill(os.getpid(), signal.SIGTERM)
    signals = Signals(inbox)
    os.kill(os.getpid(), signal.SIGINT)
    async with asyncio.timeout(10):
        await signals.stop.wait()
    await asyncio.sleep(0)
    assert not signals.stop_now.is_set()
    inbox.close()
    os.kill(os.getpid(), signal.SIGTERM)  # it is over: nobody minds


async def test_a_second_signal_that_is_one_of_its_own_means_at_once(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than a second later."""
    signals = Signals(inbox)
    for at in (100.0, 101.5):
        monkeypatch.setattr("sidecar.signals.time.monotonic", lambda at=at: at)
        os.kill(os.getpid(), signal.SIGTERM)
    monkeypatch.undo()
    async with asyncio.timeout(10):
        await signals.stop_now.wait()


@pytest.mark.parametrize(
    ("number", "seconds", "means_at_once"),
    [
        (signal.SIGTERM, 0.5, False),
        (signal.SIGTERM, 1.5, True),
        (signal.SIGINT, 0.3, True),
        (signal.SIGINT, 0.01, False),
    ],
)
def test_a_supervisor_that_says_it_twice_means_it_once_and_a_person_does_not(
    number: int, seconds: float, means_at_once: bool
) -> None:
    """SIGTERM to the process and to its group; Ctrl-C, pressed again by somebody who waits."""
    assert is_again(number, 100.0, 100.0 + seconds) == means_at_once

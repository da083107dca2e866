"""Looks of one batch after the other: beside one another only where a disk takes its time."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from sidecar.core.model import State
from sidecar.watch.complete import candidates
from sidecar.watch.complete.probe import ProbeRequest, ProbeResult, probe

from .conftest import World

SLOW, QUICK = "p/s/one/source/slow.py", "p/s/one/source/quick.py"


class Disk:
    """Stands before the looks of the stage: notes how many go at once, holds up what is slow."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nobody looks yet."""
        self.most, self._now, self._lock = 0, 0, threading.Lock()
        self.is_stuck, self.may_go_on = threading.Event(), threading.Event()
        monkeypatch.setattr(candidates, "probe", self._probe)

    def _probe(self, request: ProbeRequest, *args: Any, **kwargs: Any) -> ProbeResult:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
        if request.path == SLOW:
            self.is_stuck.set()
            assert self.may_go_on.wait(60)
        try:
            return probe(request, *args, **kwargs)
        finally:
            with self._lock:
                self._now -= 1


async def test_a_disk_that_hangs_under_one_look_holds_up_no_other(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second batch waits a moment for the first, and then goes beside it."""
    disk = Disk(monkeypatch)
    world.put(SLOW)

    async def is_stuck() -> bool:
        return disk.is_stuck.is_set()

    try:
        await world.until(is_stuck)
        world.put(QUICK)
        await world.until_ready(QUICK)
        assert (await world.states())[SLOW] == [State.DISCOVERED]
    finally:
        disk.may_go_on.set()
    await world.until_ready(SLOW)


async def test_looks_that_are_quick_go_one_after_the_other(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two threads that look at once take the interpreter from each other at each call of the system."""
    monkeypatch.setattr(candidates, "PROBE_SECONDS", 60.0)
    disk = Disk(monkeypatch)
    paths = [f"p/s/scene{number % 7}/source/{number}.py" for number in range(3 * candidates.BATCH_MAX)]
    for path in paths:
        world.put(path)
    await world.until_ready(*paths)
    assert disk.most == 1

"""One life of the daemon: the real stages, gates and journal, put together as daemon/ does."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

from sidecar.core.breaker import BreakerPolicy
from sidecar.core.retry import RetryPolicy
from sidecar.daemon.quiet import QuietScenes
from sidecar.gate import Gate
from sidecar.metrics import Metrics
from sidecar.settings.telling import BatchSettings
from sidecar.sync.stage import SyncStage
from sidecar.sync.store import MetadataStore
from sidecar.upload.doubts import Doubts
from sidecar.upload.limits import MemoryBudget
from sidecar.upload.stage import UploadStage
from sidecar.upload.store import ObjectStore
from sidecar.upload.tools import Tools
from sidecar.watch.tidying import Tidier

from .convex import Deployment, SimulatedConvex
from .journal import SIDECAR, InlineJournal, open_journal
from .loop import StalledError, VirtualClock, VirtualLoop
from .noticer import Noticer
from .power import Power, PowerCut
from .s3 import Bucket, SimulatedS3
from .world import Step, World

PART_BYTES = 1024
QUIET_SECONDS = 100.0  # longer than any backoff, slow call or postponed debt, and than a scene's quiet
COMPLETE_AFTER_SECONDS = 50.0
TIDY_AFTER_SECONDS = 60.0
LIFE_SECONDS_MAX = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """What outlives the daemon."""

    world: World
    steps: Sequence[Step]
    bucket: Bucket
    deployment: Deployment
    tidy: bool  # local_files.after_sync: delete


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a life ended: ``crash``, ``quiet``, ``stuck`` (still busy after an hour) or ``broken``."""

    how: str
    error: BaseException | None = None


def live(outside: Outside, power: Power, *, number: int, chance: random.Random) -> Ending:
    """Live one life, beginning at the world's time."""
    world = outside.world
    loop = world.loop = VirtualLoop(world.now)
    world.end_life = power.ended.set
    loop.door = power.door
    try:
        life = _Life(outside, power, loop=loop, number=number, chance=chance)
        return loop.run_until_complete(life.run())
    except StalledError:
        return Ending(how="broken", error=StalledError("everything waits for ever"))
    finally:
        world.pass_time(loop.now, outside.steps)
        world.loop = world.news = None
        loop.close()


class _Life:
    def __init__(
        self, outside: Outside, power: Power, *, loop: VirtualLoop, number: int, chance: random.Random
    ) -> None:
        self._outside, self._power, self._loop = outside, power, loop
        self._chance = chance
        self._clock = VirtualClock(loop, life=number)
        self._began = power.last_effect_at = power.last_call_at = loop.now

    async def run(self) -> Ending:
        path = self._outside.world.folder / "journal.db"
        journal = open_journal(path, clock=self._clock, chance=self._chance)
        try:
            tasks = [asyncio.ensure_future(work) for work in self._work(InlineJournal(journal, self._power))]
            ending = await self._until_over(tasks)
            self._power.is_off = self._power.is_off or ending.how != "crash"
            self._power.strand()
            error = await self._end(tasks)
            return ending if error is None else Ending(how="broken", error=error)
        finally:
            journal.close()

    def _work(self, journal: InlineJournal) -> list[Coroutine[Any, Any, None]]:
        """Build the stages as daemon/parts.py does, and start them as daemon/life.py does."""
        s3 = SimulatedS3(self._outside.bucket, self._power)
        convex = SimulatedConvex(self._outside.deployment, self._power)
        gates = {"s3": self._gate("s3", s3), "convex": self._gate("convex", convex)}
        tools = Tools(
            store=cast("ObjectStore", s3),  # the same
            journal=journal,
            budget=MemoryBudget(3 * PART_BYTES),  # two parts at once
            part_bytes=PART_BYTES,
            sidecar_id=SIDECAR,
            url=lambda key: f"https://cdn.example/{key}",
            doubts=Doubts(clock=self._clock),
        )
        sync = SyncStage(
            store=cast("MetadataStore", convex),  # what only reconciling asks is not simulated
            journal=journal,
            gate=gates["convex"],
            batch=BatchSettings(),
            sidecar_id=SIDECAR,
            clock=self._clock,
            metrics=_metrics(),
        )
        upload = UploadStage(
            tools=tools,
            gate=gates["s3"],
            clock=self._clock,
            metrics=_metrics(),
            trusted=sync.registered,
        )
        quiet = QuietScenes(journal=journal, clock=self._clock, complete_after_seconds=COMPLETE_AFTER_SECONDS)
        tidier = Tidier(
            journal=journal,
            clock=self._clock,
            delete_after_seconds=TIDY_AFTER_SECONDS,
            skew_seconds=lambda: 0.0,
            is_watched=lambda _root: True,
        )
        noticer = Noticer(self._outside.world, journal, self._power)
        rest = [gate.run() for gate in gates.values()]
        if self._outside.tidy:
            rest.append(tidier.run())
        return [
            noticer.run(),
            upload.run(),
            sync.run(),
            quiet.run(),
            self._pass_time(),
            *rest,
        ]

    def _gate(self, remote: str, store: SimulatedS3 | SimulatedConvex) -> Gate:
        return Gate(
            remote=remote,
            probe=store.probe,
            retry=RetryPolicy(),
            breaker=BreakerPolicy(),
            clock=self._clock,
            jitter=self._chance.random,
        )

    async def _pass_time(self) -> None:
        """Let the script's steps happen when they are due."""
        world, steps = self._outside.world, self._outside.steps
        while (at := world.next_at(steps)) is not None:
            await asyncio.sleep(max(0.0, at - self._loop.now))
            world.pass_time(self._loop.now, steps)

    async def _until_over(self, tasks: Sequence[asyncio.Future[None]]) -> Ending:
        while True:
            try:
                async with asyncio.timeout(5.0):
                    await self._power.ended.wait()
            except TimeoutError:
                pass
            else:
                return Ending(how="crash")
            self._outside.world.pass_time(self._loop.now, self._outside.steps)
            for task in tasks:
                if task.done() and not task.cancelled() and (error := task.exception()) is not None:
                    return Ending(how="broken", error=error)
            if self._is_quiet():
                return Ending(how="quiet")
            if self._loop.now - self._began > LIFE_SECONDS_MAX:
                return Ending(how="stuck")

    def _is_quiet(self) -> bool:
        due = self._outside.world.next_at(self._outside.steps)
        last = max(self._power.last_effect_at, self._power.last_call_at)
        return due is None and self._loop.now - last > QUIET_SECONDS

    async def _end(self, tasks: Sequence[asyncio.Future[None]]) -> BaseException | None:
        """Cancel everything; with the power off nothing that follows has an effect."""
        for task in tasks:
            task.cancel()
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(outcome, BaseException) and not _is_an_end(outcome):
                return outcome
        return None


def _is_an_end(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return all(_is_an_end(inner) for inner in error.exceptions)
    return isinstance(error, (PowerCut, asyncio.CancelledError))


@cache
def _metrics() -> Metrics:
    return Metrics()

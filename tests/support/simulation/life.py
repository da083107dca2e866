"""One life of the daemon: the real stages, gates and journal, put together as daemon/ does."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from sidecar.core.breaker import BreakerPolicy
from sidecar.core.errors import JournalLostError
from sidecar.core.retry import RetryPolicy
from sidecar.daemon.pruning import Pruner
from sidecar.daemon.quiet import QuietScenes
from sidecar.gate import Gate
from sidecar.journal.journal import Journal
from sidecar.metrics import Metrics
from sidecar.settings.telling import BatchSettings
from sidecar.sync.stage import SyncStage
from sidecar.upload.cleaner import Cleaner
from sidecar.upload.doubts import Doubts
from sidecar.upload.limits import MemoryBudget
from sidecar.upload.relics import Relics
from sidecar.upload.stage import UploadStage
from sidecar.upload.tools import Tools
from sidecar.watch.tidying import Tidier

from .convex import SimulatedConvex
from .journal import InlineJournal
from .ledger import SIDECAR, TAG
from .loop import PowerCut, StalledError, VirtualClock, VirtualLoop
from .machine import Machine
from .noticer import Noticer
from .outside import Outside
from .power import Power
from .s3 import SimulatedS3
from .scenario import Scenario

PART_BYTES = 1024
CALM_SECONDS = 6.0  # nothing is owed: longer than a late request takes to arrive
QUIET_SECONDS = 100.0  # something is: longer than any backoff, slow call or postponed debt
COMPLETE_AFTER_SECONDS = 50.0
LOOK_SECONDS = 27.0  # twice within it
TIDY_AFTER_SECONDS = 60.0
KEEP_SECONDS, PRUNE_SECONDS = 30.0, 20.0
LIFE_SECONDS_MAX = 3600.0
OWED = """
SELECT EXISTS (SELECT 1 FROM outbox) OR EXISTS (SELECT 1 FROM debts)
  OR EXISTS (SELECT 1 FROM scenes WHERE quiet = 0)
  OR EXISTS (SELECT 1 FROM transfers WHERE state IN ('discovered', 'ready', 'uploaded', 'dead', 'abandoned'))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a life ended.

    ``cut`` off, asked to ``stop``, ``quiet``, ``lost`` its journal, ``stuck`` (still busy after an hour), or
    ``broken``.
    """

    how: str
    error: BaseException | None = None


def live(
    outside: Outside,
    scenario: Scenario,
    power: Power,
    *,
    machine: Machine,
    chance: random.Random,
    lost: JournalLostError | None,
) -> Ending:
    """Live one life, beginning at the outside's time."""
    loop = outside.loop = VirtualLoop(outside.time)
    outside.end_life = power.ended.set
    machine.disk, machine.change = outside.world.disk, power.change_file
    outside.world.disk.opened.clear()
    try:
        life = _Life(outside, scenario, power, loop=loop, chance=chance)
        return loop.run_until_complete(life.run(lost))
    except StalledError:
        return Ending(how="broken", error=StalledError("everything waits for ever"))
    finally:
        outside.image = outside.ledger.image()
        outside.ledger.close()
        outside.pass_time(loop.now)
        outside.loop = outside.news = None
        loop.close()


class _Life:
    def __init__(
        self, outside: Outside, scenario: Scenario, power: Power, *, loop: VirtualLoop, chance: random.Random
    ) -> None:
        self._outside, self._scenario, self._power, self._loop = outside, scenario, power, loop
        self._chance = chance
        self._cleaner: Cleaner | None = None
        self._clock = VirtualClock(loop, life=power.life)
        self._began = power.last_at = loop.now

    async def run(self, lost: JournalLostError | None) -> Ending:
        journal = self._outside.ledger.open(
            self._outside.image, clock=self._clock, chance=self._chance, lost=lost
        )
        inline = InlineJournal(journal, self._power)
        tasks = [asyncio.ensure_future(work) for work in self._work(inline)]
        for task in tasks:
            task.add_done_callback(self._failed)
        how = await self._until_over(journal)
        self._power.is_off = self._power.is_off or how != "stop"
        error = await self._end(tasks)
        if isinstance(error, JournalLostError):
            return Ending(how="lost", error=error)
        return Ending(how=how) if error is None else Ending(how="broken", error=error)

    def _work(self, journal: InlineJournal) -> list[Coroutine[Any, Any, None]]:
        """Build the stages as daemon/parts.py does, and start them as daemon/life.py does."""
        s3, convex = SimulatedS3(self._power), SimulatedConvex(self._power)
        gates = {"s3": self._gate("s3", s3), "convex": self._gate("convex", convex)}
        sync = SyncStage(
            store=convex,
            journal=journal,
            gate=gates["convex"],
            batch=BatchSettings(),
            sidecar_id=SIDECAR,
            clock=self._clock,
            metrics=_metrics(),
        )
        tools = Tools(
            store=s3,
            journal=journal,
            budget=MemoryBudget(3 * PART_BYTES),  # two parts at once
            part_bytes=PART_BYTES,
            sidecar_id=SIDECAR,
            url=lambda key: f"https://cdn.example/{key}",
            doubts=Doubts(clock=self._clock),
            relics=Relics(store=s3, tag=TAG),
        )
        upload = UploadStage(
            tools=tools,
            gate=gates["s3"],
            clock=self._clock,
            metrics=_metrics(),
            trusted=sync.registered,
        )
        self._cleaner = upload.cleaner
        quiet = _Patient(journal=journal, clock=self._clock, complete_after_seconds=COMPLETE_AFTER_SECONDS)
        noticer = Noticer(self._outside, journal, self._power)
        rest = [gate.run() for gate in gates.values()]
        if self._scenario.tidy:
            rest.append(self._tidier(journal).run())
        if self._scenario.prune:
            rest.append(self._prune(journal))
        return [
            _notice(journal, noticer, sync),
            sync.recall.run(),
            upload.run(),
            sync.run(),
            sync.expiry.run(),
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

    def _tidier(self, journal: InlineJournal) -> Tidier:
        return Tidier(
            journal=journal,
            clock=self._clock,
            delete_after_seconds=TIDY_AFTER_SECONDS,
            skew_seconds=lambda: 0.0,
            is_watched=lambda _root: True,
        )

    async def _prune(self, journal: InlineJournal) -> None:
        pruner = Pruner(
            journal=journal,
            clock=self._clock,
            keep_seconds=KEEP_SECONDS,
            events_seconds=KEEP_SECONDS,
            skew_seconds=lambda: 0.0,
        )
        while True:
            await asyncio.sleep(PRUNE_SECONDS)
            await pruner.prune()

    async def _pass_time(self) -> None:
        """Let the script's steps happen when they are due."""
        while (at := self._outside.next_at()) is not None:
            await asyncio.sleep(max(0.0, at - self._loop.now))
            self._outside.pass_time(self._loop.now)

    # -- the end ----------------------------------------------------------------------------------
    async def _until_over(self, journal: Journal) -> str:
        while (wait := self._quiet_in(journal)) > 0:
            try:
                async with asyncio.timeout(wait):
                    await self._power.ended.wait()
            except TimeoutError:
                continue
            return "cut" if self._power.is_off else "stop"
        return "quiet" if self._loop.now - self._began < LIFE_SECONDS_MAX else "stuck"

    def _quiet_in(self, journal: Journal) -> float:
        """Return how long nothing more must happen for this to be the end."""
        if self._loop.now - self._began > LIFE_SECONDS_MAX:
            return 0.0
        if (due := self._outside.next_at()) is not None:
            return max(due - self._loop.now, 0.0) + CALM_SECONDS
        if self._power.in_flight:
            return CALM_SECONDS
        calm = self._power.last_at + CALM_SECONDS - self._loop.now
        if calm > 0 or not self._is_owed(journal):
            return calm
        return self._power.last_at + QUIET_SECONDS - self._loop.now

    def _is_owed(self, journal: Journal) -> bool:
        world = self._outside.world
        untidy = self._scenario.tidy and any(path in world.present() for path in world.files())
        in_doubt = self._cleaner is not None and self._cleaner.doubts > 0
        return untidy or in_doubt or bool(journal.db.execute(OWED).fetchone()[0])

    def _failed(self, task: asyncio.Future[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            self._power.ended.set()

    async def _end(self, tasks: Sequence[asyncio.Future[None]]) -> BaseException | None:
        """Cancel everything; with the power off nothing that follows has an effect."""
        for task in tasks:
            task.cancel()
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(outcome, BaseException) and (error := _fault(outcome)) is not None:
                return error
        return None


class _Patient(QuietScenes):
    """Looks seldom: a look before the quiet is over has no effect, and thousands of lives pass here."""

    async def run(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(LOOK_SECONDS)


def _fault(error: BaseException) -> BaseException | None:
    """Return what went wrong, None for an end like any other."""
    if isinstance(error, BaseExceptionGroup):
        return next((found for inner in error.exceptions if (found := _fault(inner)) is not None), None)
    return None if isinstance(error, (PowerCut, asyncio.CancelledError)) else error


async def _notice(journal: InlineJournal, noticer: Noticer, sync: SyncStage) -> None:
    """Begin as the composition root does; the first scan ends the recall."""
    await journal.do(Journal.begin_recall)
    async with asyncio.TaskGroup() as group:
        group.create_task(noticer.run())
        await noticer.listed.wait()
        await sync.recall.end()


@cache
def _metrics() -> Metrics:
    return Metrics()

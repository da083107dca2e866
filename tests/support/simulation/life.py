"""One life of the daemon, from its journal's opening to its end."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass

from sidecar.core.errors import JournalLostError
from sidecar.journal.journal import Journal

from .crew import BUSY, Crew
from .journal import InlineJournal
from .loop import PowerCut, StalledError, VirtualClock, VirtualLoop
from .machine import Machine
from .outside import Outside
from .power import Power
from .scenario import Scenario

CALM_SECONDS = 6.0  # nothing is owed: longer than a late request takes to arrive
QUIET_SECONDS = 100.0  # something is: longer than any backoff, slow call or postponed clean-up task
LIFE_SECONDS_MAX = 7200.0
UNQUIET = "SELECT EXISTS (SELECT 1 FROM scenes WHERE quiet = 0)"
UNASKED = """SELECT EXISTS (SELECT 1 FROM meta WHERE key = 'unfinished')
  AND EXISTS (SELECT 1 FROM meta WHERE key = 'epoch' AND CAST(value AS INTEGER) > 1)"""


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
    machine.disk, machine.change = outside.world.disk, power.change_file
    try:
        life = _Life(outside, scenario, power, loop=loop, chance=chance)
        return loop.run_until_complete(life.run(lost))
    except StalledError:
        return Ending(how="broken", error=StalledError("everything waits for ever"))
    finally:
        outside.image = outside.ledger.image()
        outside.ledger.close()
        outside.pass_time(loop.now)
        outside.end_life()
        loop.close()


class _Life:
    def __init__(
        self, outside: Outside, scenario: Scenario, power: Power, *, loop: VirtualLoop, chance: random.Random
    ) -> None:
        self._outside, self._scenario, self._power, self._loop = outside, scenario, power, loop
        self._chance = chance
        self._clock = VirtualClock(loop, life=power.life)
        self._began = power.last_at = loop.now
        self._is_clean = False  # a drain left nothing behind

    async def run(self, lost: JournalLostError | None) -> Ending:
        journal = self._outside.ledger.open(
            self._outside.image, clock=self._clock, chance=self._chance, lost=lost
        )
        crew = Crew(
            self._outside,
            self._scenario,
            self._power,
            InlineJournal(journal, self._power),
            clock=self._clock,
            chance=self._chance,
        )
        self._outside.on_stop, drain = self._power.ended.set, asyncio.Event()
        self._outside.on_drain = drain.set
        work = [*crew.work(), self._pass_time(), self._drain(crew, drain)]
        tasks = [asyncio.ensure_future(one) for one in work]
        for task in tasks:
            task.add_done_callback(self._failed)
        how = await self._until_over(journal, crew)
        self._power.is_off = self._power.is_off or how != "stop"
        error = await self._end(tasks)
        if isinstance(error, JournalLostError):
            return Ending(how="lost", error=error)
        if error is not None:
            return Ending(how="broken", error=error)
        return Ending(how="quiet" if self._is_clean else how)

    async def _pass_time(self) -> None:
        """Let the script's steps happen when they are due."""
        while (at := self._outside.next_at()) is not None:
            await asyncio.sleep(max(0.0, at - self._loop.now))
            self._outside.pass_time(self._loop.now)

    # -- the end ----------------------------------------------------------------------------------
    async def _drain(self, crew: Crew, told: asyncio.Event) -> None:
        await told.wait()
        self._is_clean = await crew.drain()
        self._power.ended.set()

    async def _until_over(self, journal: Journal, crew: Crew) -> str:
        while (wait := self._quiet_in(journal, crew)) > 0:
            try:
                async with asyncio.timeout(wait):
                    await self._power.ended.wait()
            except TimeoutError:
                continue
            return "cut" if self._power.is_off else "stop"
        return "quiet" if self._loop.now - self._began < LIFE_SECONDS_MAX else "stuck"

    def _quiet_in(self, journal: Journal, crew: Crew) -> float:
        """Return how long nothing more must happen for this to be the end."""
        if self._loop.now - self._began > LIFE_SECONDS_MAX:
            return 0.0
        if (due := self._outside.next_at()) is not None:
            return max(due - self._loop.now, 0.0) + CALM_SECONDS
        if self._power.in_flight:
            return CALM_SECONDS
        calm = self._power.last_at + CALM_SECONDS - self._loop.now
        if calm > 0 or not self._is_owed(journal, crew):
            return calm
        return self._power.last_at + QUIET_SECONDS - self._loop.now

    def _is_owed(self, journal: Journal, crew: Crew) -> bool:
        world = self._outside.world
        untidy = self._scenario.tidy and any(path in world.present() for path in world.files())
        unsettled = bool(self._outside.wishes) or self._outside.shows_removed(self._scenario.removal)
        owed = any(journal.db.execute(question).fetchone()[0] for question in (BUSY, UNQUIET, UNASKED))
        return untidy or unsettled or crew.rechecks > 0 or owed

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


def _fault(error: BaseException) -> BaseException | None:
    """Return what went wrong, None for an end like any other."""
    if isinstance(error, BaseExceptionGroup):
        return next((found for inner in error.exceptions if (found := _fault(inner)) is not None), None)
    return None if isinstance(error, (PowerCut, asyncio.CancelledError)) else error

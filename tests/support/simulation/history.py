"""A history: a scenario, lived through all its crashes and faults to its quiet end."""

from __future__ import annotations

import gc
import logging
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from unittest.mock import patch

import structlog

from sidecar.core import parts
from sidecar.core.errors import JournalLostError
from sidecar.upload import source, stage
from sidecar.watch.deletion import sweeper

from .faults import Fault
from .ledger import InFile, in_memory
from .life import Ending, live
from .machine import Machine
from .outside import Outside
from .power import BEFORE, STOP, Crash, Power, Watch
from .scenario import Scenario
from .scenarios import SCENARIOS
from .world import LIGHT_BYTES, PART_BYTES

DOWN_SECONDS = (0.1, 3.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything that a history follows from."""

    scenario: str
    seed: int = 0
    crashes: tuple[Crash, ...] = ()
    faults: tuple[Fault, ...] = ()
    again: bool = False  # one more life after the quiet: an ordinary restart

    @property
    def command(self) -> str:
        """The line that lives it again."""
        words = [f"python -m tests.support.simulation replay {self.scenario} --seed {self.seed}"]
        words += [f"--crash {crash}" for crash in self.crashes]
        words += [f"--fault {fault}" for fault in self.faults]
        return " ".join([*words, "--again"] if self.again else words)


@dataclass(slots=True, kw_only=True)
class History:
    """What happened so far. ``effects`` holds each life's own; ``calls`` all calls to the remotes.

    ``spoilt`` are the numbers of those that the scenario's own trouble made fail.
    """

    plan: Plan
    scenario: Scenario
    outside: Outside
    calls: list[str] = field(default_factory=list)
    spoilt: set[int] = field(default_factory=set)
    effects: list[list[str]] = field(default_factory=list)
    spans: list[tuple[float, float]] = field(default_factory=list)  # of each life: its begin, its last effect
    problems: list[str] = field(default_factory=list)
    ending: Ending = field(default_factory=lambda: Ending(how="unborn"))

    def cut(self, crash: Crash, power: Power, found: Outside, *, plan: Plan) -> History:
        """Return the history in which the power went in the middle of a life."""
        known = crash.effect - (crash.when == BEFORE)
        return History(
            plan=plan,
            scenario=self.scenario,
            outside=found,
            calls=list(self.calls),
            spoilt=set(self.spoilt),
            effects=[*self.effects, power.effects[:known]],
            spans=[*self.spans, (found.time, found.time)],
            problems=list(self.problems),
            ending=Ending(how="cut"),
        )


class Planned:
    """Cuts a history off where its plan says; ``cut`` is then how it goes on."""

    def __init__(self, history: History) -> None:
        """Look at its plan."""
        self.cut: History | None = None
        self._history = history

    def wants(self, crash: Crash, power: Power) -> bool:
        """Tell whether it is here."""
        return not power.is_off and crash in self._history.plan.crashes

    def keep(self, crash: Crash, power: Power, found: Outside) -> None:
        """Cut it off."""
        self.cut = self._history.cut(crash, power, found, plan=self._history.plan)
        power.cut()


@contextmanager
def simulation() -> Iterator[Machine]:
    """Put the simulated machine in the place of the real one, and keep the log out of thousands of lives."""
    before, machine = structlog.get_config(), Machine()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    seldom = gc.get_threshold()
    gc.set_threshold(50_000, 50, 1000)  # a life leaves much behind, and what was there before stays anyway
    try:
        with (
            machine.runs(),
            # The simulated S3 takes small parts, so that a multipart upload costs kilobytes.
            patch.object(parts, "PART_BYTES_MIN", PART_BYTES),
            patch.object(source, "LIGHT_BYTES", LIGHT_BYTES),
            patch.object(stage, "LIGHT_BYTES", LIGHT_BYTES),
            patch.object(sweeper, "PAUSE_SECONDS", (20.0, 20.0)),
        ):
            yield machine
    finally:
        gc.set_threshold(*seldom)
        structlog.configure(**before)


@contextmanager
def begun(plan: Plan, machine: Machine) -> Iterator[History]:
    """Begin a history: nothing has happened yet."""
    scenario = SCENARIOS[plan.scenario]
    ledger = InFile() if scenario.in_file else in_memory()
    bucket = scenario.bucket(machine.os.pread)
    outside = Outside(steps=scenario.steps, ledger=ledger, bucket=bucket)
    scenario.prepare(outside)
    try:
        yield History(plan=plan, scenario=scenario, outside=outside)
    finally:
        if isinstance(ledger, InFile):
            ledger.remove()


@contextmanager
def lived(plan: Plan, *, inspect: Callable[[History], list[str]]) -> Iterator[History]:
    """Live a plan to its end; ``inspect`` looks at every crash."""
    with simulation() as machine, begun(plan, machine) as first:
        history: History | None = first
        while history is not None:
            newest, watch = history, Planned(history)
            live_on(history, machine, watch)
            if (history := watch.cut) is not None:
                history.problems += inspect(history)
        yield newest


def live_on(history: History, machine: Machine, watch: Watch) -> None:
    """Live on, to the end or to the crash that ``watch`` makes."""
    again = history.plan.again
    while _next_life(history, machine, watch) or again:
        again = again and history.ending.how != "quiet"


def _next_life(history: History, machine: Machine, watch: Watch) -> bool:
    """Live one more; tell whether another one must follow."""
    plan, outside, number = history.plan, history.outside, len(history.effects) + 1
    chance = random.Random(f"{plan.scenario}/{plan.seed}/{number}")
    lost = history.ending.error
    if number > 1:
        outside.pass_time(outside.now + chance.uniform(*DOWN_SECONDS))
    if number == 2:
        history.scenario.befalls(outside)
    power = Power(
        life=number,
        outside=outside,
        chance=chance,
        strand_seed=f"{plan.scenario}/{plan.seed}",
        watch=watch,
        stop=next((one for one in plan.crashes if (one.life, one.when) == (number, STOP)), None),
        calls=history.calls,
        spoilt=history.spoilt,
        faults={fault.call: fault.how for fault in plan.faults},
        trouble=lambda name: history.scenario.trouble(name, outside.now, outside.called[name]),
        on_call=outside.heard,
    )
    began = outside.now
    history.ending = live(
        outside,
        history.scenario,
        power,
        machine=machine,
        chance=chance,
        lost=lost if isinstance(lost, JournalLostError) else None,
    )
    history.effects.append(power.effects)
    history.spans.append((began, power.last_at))
    if history.ending.how == "broken":
        history.problems.append(f"life {number} broke: {history.ending.error!r}")
    elif history.ending.how == "stuck":
        history.problems.append(f"life {number} found no quiet")
    return history.ending.how in {"stop", "lost"}

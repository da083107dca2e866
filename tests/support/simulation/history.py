"""A history: a scenario, lived through all its crashes and faults to its quiet end."""

from __future__ import annotations

import logging
import random
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch

import structlog

from sidecar.core import parts

from .convex import Deployment
from .life import PART_BYTES, Ending, Outside, live
from .power import Crash, Fault, Power
from .s3 import Bucket
from .scenarios import SCENARIOS, Scenario
from .world import World

DOWN_SECONDS = (0.1, 3.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything that a history follows from. The n-th crash ends the n-th life."""

    scenario: str
    seed: int = 0
    crashes: Sequence[Crash] = ()
    faults: Sequence[Fault] = ()
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
    """What happened. ``effects`` holds each life's own; ``calls`` all calls to the remotes."""

    plan: Plan
    outside: Outside
    scenario: Scenario
    calls: list[str] = field(default_factory=list)
    effects: list[list[str]] = field(default_factory=list)
    spans: list[tuple[float, float]] = field(default_factory=list)  # of each life: its begin, its last effect
    problems: list[str] = field(default_factory=list)
    ending: Ending = field(default_factory=lambda: Ending(how="unborn"))

    def close(self) -> None:
        """Leave no files behind."""
        self.outside.world.clear()


Inspect = Callable[[History], list[str]]


def _trust(_history: History) -> list[str]:
    """Look at nothing."""
    return []


def live_through(plan: Plan, *, inspect: Inspect = _trust) -> History:
    """Live a plan; ``inspect`` looks at every crash. The caller checks the end, and closes it."""
    scenario = SCENARIOS[plan.scenario]
    folder = Path(tempfile.mkdtemp(prefix="simulation-", dir="/dev/shm"))
    world = World(folder=folder)
    world.root.mkdir()
    outside = Outside(
        world=world,
        steps=scenario.steps,
        bucket=Bucket(),
        deployment=Deployment(),
        tidy=scenario.tidy,
    )
    world.deployment = outside.deployment
    scenario.prepare(outside.bucket, outside.deployment)
    history = History(plan=plan, outside=outside, scenario=scenario)
    # The simulated S3 takes small parts, so that a multipart upload costs kilobytes.
    with patch.object(parts, "PART_BYTES_MIN", PART_BYTES), _silence():
        number = 0
        while _next_life(history, number):
            history.problems += inspect(history)
            number += 1
        if plan.again:
            _next_life(history, number + 1)
    return history


def _next_life(history: History, number: int) -> bool:
    """Live one more; False if it was the last."""
    plan, world = history.plan, history.outside.world
    chance = random.Random(f"{plan.scenario}/{plan.seed}/{number}")
    if number:
        world.pass_time(world.now + chance.uniform(*DOWN_SECONDS), history.outside.steps)
    power = Power(
        crash=plan.crashes[number] if number < len(plan.crashes) else None,
        chance=chance,
        calls=history.calls,
        faults={fault.call: fault.how for fault in plan.faults},
        outage=lambda name: history.scenario.trouble(name, world.now, world.called[name]),
        on_call=lambda name: world.heard(name, history.outside.steps),
    )
    began = world.now
    history.ending = live(history.outside, power, number=number, chance=chance)
    history.effects.append(power.effects)
    history.spans.append((began, power.last_effect_at))
    if history.ending.how == "broken":
        history.problems.append(f"life {number + 1} broke: {history.ending.error!r}")
    elif history.ending.how == "stuck":
        history.problems.append(f"life {number + 1} found no quiet")
    return history.ending.how == "crash"


@contextmanager
def _silence() -> Iterator[None]:
    """Keep the log out of thousands of lives."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        yield
    finally:
        structlog.configure(**before)

"""Spoil one call to a remote, in every way; and a crash and faults together.

    python -m pytest tests/crash --faults=all

takes calls that an outage spoils anyway, too, and many pairs of faults.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import pytest

from tests.support.simulation.checker import at_a_crash
from tests.support.simulation.faults import Fault, fitting
from tests.support.simulation.history import History, Plan, lived
from tests.support.simulation.power import WHEN, Crash
from tests.support.simulation.scenarios import SCENARIOS

from .conftest import live_all

# Nothing tells whose the second upload is: without a transfer id in its key it is left to the bucket's rule.
NOT_OURS_TO_SAY = ("fixed-key", "s3.create", "twice")
MIXED, MIXED_ALL = 1, 300
PAIRS, PAIRS_ALL = 1, 300


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_fault_at_any_call_changes_nothing_in_the_end(
    scenario: str, *, spoils_all: bool, say: Callable[[str], None]
) -> None:
    """An error of every kind, before and after the commit, lost, late, doubled or slow."""
    calm = _calm(scenario)
    faults = [
        Fault(call=n, how=how)
        for n in range(1, len(calm.calls) + 1)
        if spoils_all or n not in calm.spoilt  # a fault in the place of another one is a pair
        for how in _ways(calm, n)
    ]
    lives = live_all(Plan(scenario=scenario, faults=(fault,)) for fault in faults)
    say(f"{scenario}: {len(faults)} faults at {len(calm.calls)} calls, {lives} lives")


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_two_faults_change_nothing_either(
    scenario: str, *, spoils_all: bool, chance: random.Random, say: Callable[[str], None]
) -> None:
    """Wherever they are; a sample."""
    calm = _calm(scenario)
    plans = list(_pairs(calm, PAIRS_ALL if spoils_all else PAIRS, chance))
    say(f"{scenario}: {len(plans)} pairs of faults, {live_all(plans)} lives")


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_crash_among_faults_changes_nothing_in_the_end(
    scenario: str, *, spoils_all: bool, chance: random.Random
) -> None:
    """Two faults anywhere, and a crash."""
    live_all(_mixed(_calm(scenario), MIXED_ALL if spoils_all else MIXED, chance))


def _calm(scenario: str) -> History:
    """Return the history without a fault of ours."""
    with lived(Plan(scenario=scenario), inspect=at_a_crash) as history:
        return history


def _pairs(calm: History, count: int, chance: random.Random) -> Iterator[Plan]:
    for _ in range(count):
        yield Plan(scenario=calm.plan.scenario, faults=_any_two(calm, chance))


def _mixed(calm: History, count: int, chance: random.Random) -> Iterator[Plan]:
    for _ in range(count):
        crash = Crash(life=1, effect=chance.randint(1, len(calm.effects[0])), when=chance.choice(WHEN))
        seed, faults = chance.randint(0, 99), _any_two(calm, chance)
        yield Plan(scenario=calm.plan.scenario, seed=seed, crashes=(crash,), faults=faults)


def _any_two(calm: History, chance: random.Random) -> tuple[Fault, ...]:
    """Choose two calls. After the first fault the second one may be another call than it was."""
    numbers = sorted(chance.sample(range(1, len(calm.calls) + 1), 2))
    ways = [[how for how in _ways(calm, n) if how != "redacted"] for n in numbers]
    return tuple(Fault(call=n, how=chance.choice(hows)) for n, hows in zip(numbers, ways, strict=True))


def _ways(calm: History, n: int) -> list[str]:
    call, scenario = calm.calls[n - 1], calm.plan.scenario
    return [how for how in fitting(call) if (scenario, call, how) != NOT_OURS_TO_SAY]

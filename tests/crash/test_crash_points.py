"""Die at every effect of every scenario, start again, and arrive at the same truth.

    python -m pytest tests/crash --crash=all

takes every crash point in every way, and thousands of pairs. A failure prints the line that replays it.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import cache

import pytest

from tests.support.simulation.history import Plan, live_through
from tests.support.simulation.power import WHEN, Crash
from tests.support.simulation.scenarios import SCENARIOS

from .conftest import live_all
from .effects import EFFECTS

PAIRS, PAIRS_ALL = 2, 300
SEEDS_ALL = (1, 2)


@cache
def _effects(scenario: str, seed: int = 0) -> list[list[str]]:
    history = live_through(Plan(scenario=scenario, seed=seed))
    history.close()
    return history.effects


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_no_effect_is_new_or_lost(scenario: str) -> None:
    """``python -m tests.support.simulation table`` prints the numbers; a new one is crashed at, too."""
    effects = _effects(scenario)
    assert sum(map(len, effects)) == EFFECTS[scenario], effects


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_crash_at_any_effect_changes_nothing_in_the_end(
    scenario: str, *, takes_all: bool, chance: random.Random
) -> None:
    """Before it, after it, or by an orderly end: the next life finishes the work."""
    ways = WHEN if takes_all else ("before", "after", "stop")
    plans = [
        Plan(
            scenario=scenario,
            seed=seed,
            crashes=[*_unharmed(scenario, seed, life), Crash(effect=n, when=when)],
        )
        for seed in (0, *SEEDS_ALL)[: len(SEEDS_ALL) + 1 if takes_all else 1]
        for life, effects in enumerate(_effects(scenario, seed))
        for n in range(1, len(effects) + 1)
        for when in (ways if takes_all else [chance.choice(ways)])
    ]
    live_all(plans)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_crash_during_recovery_changes_nothing_either(
    scenario: str, *, takes_all: bool, chance: random.Random
) -> None:
    """Two crashes: the second one somewhere in what the first one made necessary."""
    live_all(_pairs(scenario, PAIRS_ALL if takes_all else PAIRS, chance))


def _unharmed(scenario: str, seed: int, lives: int) -> list[Crash]:
    """Return crashes that never come, for the lives that end by themselves."""
    return [Crash(effect=len(effects) + 999, when="after") for effects in _effects(scenario, seed)[:lives]]


def _pairs(scenario: str, count: int, chance: random.Random) -> Iterator[Plan]:
    most = len(_effects(scenario)[0])
    for _ in range(count):
        first = Crash(effect=chance.randint(1, most), when=chance.choice(WHEN))
        second = Crash(effect=chance.randint(1, most), when=chance.choice(WHEN))
        yield Plan(scenario=scenario, seed=chance.randint(0, 99), crashes=[first, second])

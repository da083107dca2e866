"""Die at every effect of every scenario, start again, and arrive at the same truth.

    python -m pytest tests/crash --crash=all

takes three seeds of that, and then crashes at every point of recoveries, and of their recoveries, until none
leaves anything behind that no start has begun with yet, or a thousand lives are over. A failure prints the
line that replays it.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from tests.support.simulation.checker import at_a_crash, check_everywhere, problems
from tests.support.simulation.explore import explore
from tests.support.simulation.history import History, Plan, lived
from tests.support.simulation.power import STOP, Crash
from tests.support.simulation.sameness import sameness
from tests.support.simulation.scenarios import SCENARIOS

from .conftest import live_all
from .effects import EFFECTS

WITHOUT_END = 99  # crashes in a row; no scenario needs more than a dozen to show all that there is
SEEDS_ALL = (0, 1, 2)
LIVES_MAX = 1000
STOPS = 2


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_no_effect_is_new_or_lost(scenario: str) -> None:
    """``python -m tests.support.simulation table`` prints the numbers; a new one is crashed at, too."""
    with lived(Plan(scenario=scenario), inspect=at_a_crash) as history:
        assert sum(map(len, history.effects)) == EFFECTS[scenario], history.effects


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_crash_at_any_effect_changes_nothing_in_the_end(
    scenario: str, *, takes_all: bool, say: Callable[[str], None]
) -> None:
    """Before each effect, between it and its answer, after that: the next life finishes the work."""
    for seed in SEEDS_ALL if takes_all else SEEDS_ALL[:1]:
        _take(Plan(scenario=scenario, seed=seed), crashes=1, say=say)
        if takes_all:
            _take(Plan(scenario=scenario, seed=seed), crashes=WITHOUT_END, lives_max=LIVES_MAX, say=say)


@pytest.mark.parametrize("scenario", ["small", "reply-lost"])
def test_crashes_without_end_change_nothing_either(scenario: str, say: Callable[[str], None]) -> None:
    """Recoveries are cut off, too, and so on."""
    _take(Plan(scenario=scenario), crashes=WITHOUT_END, say=say)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_an_orderly_end_at_any_effect_changes_nothing(
    scenario: str, *, takes_all: bool, chance: random.Random
) -> None:
    """Told to stop at once, the daemon leaves what its next life can take up."""
    with lived(Plan(scenario=scenario), inspect=at_a_crash) as history:
        ends = [
            (life, n) for life, effects in enumerate(history.effects, 1) for n in range(1, len(effects) + 1)
        ]
    chosen = ends if takes_all else chance.sample(ends, STOPS)
    live_all(Plan(scenario=scenario, crashes=(Crash(life=life, effect=n, when=STOP),)) for life, n in chosen)


@pytest.mark.parametrize("scenario", ["small", "restart"])
def test_what_is_explored_is_what_a_replay_lives(scenario: str, chance: random.Random) -> None:
    """The line that a failure prints leads to the very same end."""
    ends: dict[Plan, bytes] = {}

    def note(history: History) -> list[str]:
        ends[history.plan] = sameness(history.outside)
        return problems(history)

    explore(Plan(scenario=scenario), crashes=2, at_a_crash=at_a_crash, at_the_end=note)
    for plan in chance.sample(sorted(ends, key=lambda plan: plan.command), 10):
        with lived(plan, inspect=at_a_crash) as history:
            assert sameness(history.outside) == ends[plan], plan.command


def _take(plan: Plan, *, crashes: int, lives_max: int | None = None, say: Callable[[str], None]) -> None:
    tally = check_everywhere(plan, crashes=crashes, lives_max=lives_max)
    assert not tally.found, "\n".join(tally.found)
    rest = f", {tally.left} not lived on from" if tally.left else ""
    say(f"{plan.scenario}, seed {plan.seed}: {tally.points} crash points, {tally.lives} lives{rest}")

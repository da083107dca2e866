"""What the tests of spoilt calls share: which calls there are, and every way to spoil them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import cache

from tests.support.simulation.checker import at_a_crash
from tests.support.simulation.faults import REFUSALS, Fault, fitting
from tests.support.simulation.history import History, Plan, lived
from tests.support.simulation.power import WHEN, Crash
from tests.support.simulation.scenarios import SCENARIOS

from .conftest import live_all

# What 429 and 503, 403, a redirect and a network that is down come to. Of the other refusals, which
# core/retry.py decides as one of these or as the object's own fault, each call meets one by turns.
ALWAYS = {"refused-throttled", "refused-forbidden", "refused-not_found", "refused-network"}
BY_TURNS = sorted(set(REFUSALS) - ALWAYS)
HANGING = ("hung-before", "hung-after")  # as lost-before and lost-after, half a minute later: one by turns
# Every scenario opens with the same calls, on a bucket and a deployment with nothing in them: a fault meets
# those in few scenarios, and other calls in some of those that make them. Of one scenario's later calls of a
# name it meets every twelfth.
OPENING = ("convex.register", "s3.uploads", "convex.current")
OPENING_SCENARIOS, SCENARIOS_OF_A_FAULT, REPEATED_TURNS = 3, 4, 12


def spoil_each_call(scenario: str, *, takes_all: bool, say: Callable[[str], None]) -> None:
    """Spoil each call in every way; without ``takes_all`` in those whose turn it is.

    None then that an outage spoils anyway: a fault in the place of another one is a pair.
    """
    calm = undisturbed(scenario)
    faults = [
        Fault(call=n, how=how)
        for n, name in enumerate(calm.calls, 1)
        for how in (fitting(name) if takes_all else [] if n in calm.spoilt else _in_turn(calm, n))
    ]
    lives = live_all(Plan(scenario=scenario, faults=(fault,)) for fault in faults)
    say(f"{scenario}: {len(faults)} faults at {len(calm.calls)} calls, {lives} lives")


def untried() -> set[tuple[str, str]]:
    """Return names of calls, and faults that meet them in no scenario although they could."""
    could, meets = set[tuple[str, str]](), set[tuple[str, str]]()
    for calm in map(undisturbed, SCENARIOS):
        for n, name in enumerate(calm.calls, 1):
            if n not in calm.spoilt:
                could |= {(name, how) for how in fitting(name) if how not in {*BY_TURNS, *HANGING}}
                meets |= {(name, how) for how in _in_turn(calm, n)}
    return could - meets


@cache
def undisturbed(scenario: str) -> History:
    """Return the history without a fault of ours."""
    with lived(Plan(scenario=scenario), inspect=at_a_crash) as history:
        return history


def pairs(calm: History, count: int, chance: random.Random) -> Iterator[Plan]:
    """Draw two faults, so many times."""
    for _ in range(count):
        yield Plan(scenario=calm.plan.scenario, faults=_any_two(calm, chance))


def mixed(calm: History, count: int, chance: random.Random) -> Iterator[Plan]:
    """Draw two faults and a crash, so many times."""
    for _ in range(count):
        crash = Crash(life=1, effect=chance.randint(1, len(calm.effects[0])), when=chance.choice(WHEN))
        seed, faults = chance.randint(0, 99), _any_two(calm, chance)
        yield Plan(scenario=calm.plan.scenario, seed=seed, crashes=(crash,), faults=faults)


def _any_two(calm: History, chance: random.Random) -> tuple[Fault, ...]:
    """Choose two calls. After the first fault the second one may be another call than it was."""
    numbers = sorted(chance.sample(range(1, len(calm.calls) + 1), 2))
    choices = [[how for how in fitting(calm.calls[n - 1]) if how != "redacted"] for n in numbers]
    return tuple(Fault(call=n, how=chance.choice(hows)) for n, hows in zip(numbers, choices, strict=True))


def _in_turn(calm: History, n: int) -> list[str]:
    """Choose the ways to spoil a call: those whose turn it is among the calls of its name."""
    name, scenario = calm.calls[n - 1], calm.plan.scenario
    before = calm.calls[: n - 1].count(name)
    if before:
        turns, turn = REPEATED_TURNS, before % REPEATED_TURNS
    else:
        makers = _makers(name, in_opening=_opens(calm, n))
        wanted = OPENING_SCENARIOS if _opens(calm, n) else SCENARIOS_OF_A_FAULT
        turns = max(1, len(makers) // wanted)
        turn = makers.index(scenario) % turns
    ways = [how for how in fitting(name) if _has_its_turn(how, n + len(scenario))]
    seldom = [how for how in ways if how in BY_TURNS]
    return seldom + [how for how in ways if how not in seldom][turn::turns]


@cache
def _makers(name: str, *, in_opening: bool) -> list[str]:
    """Return the scenarios whose first call of that name is unspoilt, and in the opening or later."""
    makers = []
    for scenario in SCENARIOS:
        calm = undisturbed(scenario)
        n = calm.calls.index(name) + 1 if name in calm.calls else 0
        if n and n not in calm.spoilt and _opens(calm, n) is in_opening:
            makers.append(scenario)
    return makers


def _opens(calm: History, n: int) -> bool:
    return n <= len(OPENING) and calm.calls[n - 1] in OPENING


def _has_its_turn(how: str, number: int) -> bool:
    return all(how not in kinds or how == kinds[number % len(kinds)] for kinds in (BY_TURNS, HANGING))

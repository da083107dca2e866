"""Spoil one call to a remote, in every way; and a crash and a fault together.

By default every way meets every kind of call somewhere, and every call of every scenario meets one.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import cache

import pytest

from tests.support.simulation.history import Plan, live_through
from tests.support.simulation.power import FAULTS, WHEN, Crash, Fault
from tests.support.simulation.scenarios import SCENARIOS

from .conftest import live_all

MIXED, MIXED_ALL = 1, 300
# Nothing tells whose the second upload is: without a transfer id in its key it is left to the bucket's rule.
NOT_OURS_TO_SAY = ("fixed-key", "s3.create", "twice")


@cache
def _calls(scenario: str) -> list[str]:
    history = live_through(Plan(scenario=scenario))
    history.close()
    return history.calls


def _fits(scenario: str, call: str, how: str) -> bool:
    if (scenario, call, how) == NOT_OURS_TO_SAY:
        return False
    return how != "redacted" or call.startswith("convex.")


def _plan(scenario: str, n: int, how: str) -> Plan:
    return Plan(scenario=scenario, faults=[Fault(call=n, how=how)])


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_fault_at_any_call_changes_nothing_in_the_end(
    scenario: str, *, takes_all: bool, chance: random.Random
) -> None:
    """An error of every kind, before and after the commit, lost, late, doubled or slow."""
    plans = [
        _plan(scenario, n, how)
        for n, call in enumerate(_calls(scenario), 1)
        for how in _ways(scenario, call, takes_all=takes_all, chance=chance)
    ]
    live_all(plans)


@pytest.mark.parametrize("how", FAULTS)
def test_every_kind_of_call_survives(how: str, chance: random.Random) -> None:
    """Wherever a scenario makes such a call, one of them is spoiled in this way."""
    places: dict[str, list[tuple[str, int]]] = {}
    for scenario in SCENARIOS:
        for n, call in enumerate(_calls(scenario), 1):
            if _fits(scenario, call, how):
                places.setdefault(call, []).append((scenario, n))
    chosen = [chance.choice(places[call]) for call in sorted(places)]
    live_all(_plan(scenario, n, how) for scenario, n in chosen)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_crash_among_faults_changes_nothing_in_the_end(
    scenario: str, *, takes_all: bool, chance: random.Random
) -> None:
    """Two faults anywhere, and a crash."""
    live_all(_mixed(scenario, MIXED_ALL if takes_all else MIXED, chance))


def _ways(scenario: str, call: str, *, takes_all: bool, chance: random.Random) -> list[str]:
    fitting = [how for how in FAULTS if _fits(scenario, call, how)]
    return fitting if takes_all else [chance.choice(fitting)]


def _mixed(scenario: str, count: int, chance: random.Random) -> Iterator[Plan]:
    calls = _calls(scenario)
    for _ in range(count):
        numbers = [chance.randint(1, len(calls)) for _ in range(2)]
        harmless = [how for how in FAULTS if how not in {"late", "redacted"}]
        if scenario == "fixed-key":
            harmless.remove("twice")
        yield Plan(
            scenario=scenario,
            seed=chance.randint(0, 99),
            crashes=[Crash(effect=chance.randint(1, 40), when=chance.choice(WHEN))],
            faults=[Fault(call=n, how=chance.choice(harmless)) for n in numbers],
        )

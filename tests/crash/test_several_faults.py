"""Two faults together, and a crash among faults.

    python -m pytest tests/crash --faults=all

takes many of both.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from tests.support.simulation.faults import Fault
from tests.support.simulation.history import Plan
from tests.support.simulation.power import BEFORE, BETWEEN, Crash
from tests.support.simulation.scenarios import SCENARIOS

from .conftest import live_all
from .faulting import mixed, pairs, undisturbed

MIXED, MIXED_ALL = 1, 300
PAIRS, PAIRS_ALL = 1, 300


def _cut(*where: tuple[int, int]) -> tuple[Crash, ...]:
    """Crash between call and reply, each at (life, effect)."""
    return tuple(Crash(life=life, effect=effect, when=BETWEEN) for life, effect in where)


FOUND = {  # by runs of everything; each needs more than one accident
    "a doubled Create, and the other upload of it is spoilt": Plan(
        scenario="big-then-small", faults=(Fault(call=5, how="twice"), Fault(call=6, how="wrong-etag"))
    ),
    "three starts while S3 lists but takes no part": Plan(
        scenario="resume",
        crashes=_cut((1, 17), (2, 4), (3, 4)),
    ),
    "a new journal finds what it sent itself, and the file goes": Plan(
        scenario="removal-delete", crashes=_cut((1, 4), (2, 13))
    ),
    "a new journal finds what it sent itself, and its op is not told before the file goes": Plan(
        scenario="delete-synced",
        seed=1,
        crashes=(
            *_cut((1, 6)),
            Crash(life=2, effect=8, when=BEFORE),
            *_cut((3, 2), (4, 7), (5, 3), (6, 6), (7, 4)),
        ),
    ),
}


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_two_faults_change_nothing_either(
    scenario: str, *, spoils_all: bool, chance: random.Random, say: Callable[[str], None]
) -> None:
    """Wherever they are; a sample."""
    calm = undisturbed(scenario)
    plans = list(pairs(calm, PAIRS_ALL if spoils_all else PAIRS, chance))
    say(f"{scenario}: {len(plans)} pairs of faults, {live_all(plans)} lives")


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_crash_among_faults_changes_nothing_in_the_end(
    scenario: str, *, spoils_all: bool, chance: random.Random
) -> None:
    """Two faults anywhere, and a crash."""
    live_all(mixed(undisturbed(scenario), MIXED_ALL if spoils_all else MIXED, chance))


@pytest.mark.parametrize("plan", FOUND.values(), ids=FOUND)
def test_what_was_found_once_is_well(plan: Plan) -> None:
    """It leaves nothing open, and no outage becomes a dead letter."""
    live_all([plan])

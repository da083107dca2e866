from __future__ import annotations

import random
from collections.abc import Iterable

import pytest

from tests.support.simulation.checker import check
from tests.support.simulation.history import Plan


@pytest.fixture
def takes_all(request: pytest.FixtureRequest) -> bool:
    """Whether ``--crash=all`` was given."""
    return bool(request.config.getoption("crash", "sample") == "all")


@pytest.fixture
def chance(request: pytest.FixtureRequest) -> random.Random:
    """What a sample is drawn with; ``--seed`` draws another one."""
    return random.Random(f"{request.node.name} {request.config.getoption('seed', 1)}")


def live_all(plans: Iterable[Plan]) -> int:
    """Live each plan; fails with the line that replays the first that ends badly. Returns the lives."""
    lives = 0
    for plan in plans:
        found, lived = check(plan)
        assert not found, "\n".join([*found, "", plan.command])
        lives += lived
    return lives

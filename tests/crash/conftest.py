from __future__ import annotations

import random
from collections.abc import Callable, Iterable

import pytest

from tests.support.simulation.checker import check
from tests.support.simulation.history import Plan


@pytest.fixture
def takes_all(request: pytest.FixtureRequest) -> bool:
    """Whether ``--crash=all`` was given."""
    return bool(request.config.getoption("crash") == "all")


@pytest.fixture
def spoils_all(request: pytest.FixtureRequest) -> bool:
    """Whether ``--faults=all`` was given."""
    return bool(request.config.getoption("faults") == "all")


@pytest.fixture
def chance(request: pytest.FixtureRequest) -> random.Random:
    """What a sample is drawn with; ``--seed`` draws another one."""
    return random.Random(f"{request.node.name} {request.config.getoption('seed', 1)}")


@pytest.fixture
def say(request: pytest.FixtureRequest, capfd: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Print what a run of everything has come to; the default run says nothing."""
    everything = "all" in {request.config.getoption("crash"), request.config.getoption("faults")}

    def tell(line: str) -> None:
        if everything:
            with capfd.disabled():
                print(line)  # noqa: T201 - whoever asked for everything waits for the counts

    return tell


def live_all(plans: Iterable[Plan]) -> int:
    """Live each plan; fails with the line that replays the first that ends badly. Returns the lives."""
    lives = 0
    for plan in plans:
        found, lived = check(plan)
        assert not found, "\n".join([*found, "", plan.command])
        lives += lived
    return lives

"""Every single fault at every request of every scenario, against one daemon that lives through all."""

from __future__ import annotations

import pytest

from tests.support.faults import Fault

from .rig import Rig
from .scenarios import POSITIONS, REMOTES, S3_ONLY, SCENARIOS, Place, drawn, prepare

SAMPLE = {"s3": 2, "convex": 2}  # places for each fault in the default run, at least
CASES = [(r, f) for r in REMOTES for f in Fault if r == "s3" or f not in S3_ONLY]


@pytest.mark.parametrize("scenario", POSITIONS)
def test_the_scenarios_make_as_many_requests_as_are_broken_below(shared: Rig, scenario: str) -> None:
    """At most so many: no request of a scenario hides from the faults."""
    prepare(shared, scenario)
    before = len(shared.s3_proxy.exchanges), len(shared.convex_proxy.exchanges)
    SCENARIOS[scenario](shared)
    shared.wait_quiet()
    made = {
        "s3": len(shared.s3_proxy.exchanges) - before[0],
        "convex": len(shared.convex_proxy.exchanges) - before[1],
    }
    assert all(made[remote] <= POSITIONS[scenario][remote] for remote in REMOTES), made
    shared.verify()


@pytest.mark.parametrize(("remote", "fault"), CASES)
def test_one_fault_changes_nothing(
    shared: Rig, remote: str, fault: Fault, request: pytest.FixtureRequest
) -> None:
    """Wherever it strikes: the same objects and rows as without it, no attempt spent, no secret told.

    A scenario may make fewer requests than it has places: then one more place is tried.
    """
    every = request.config.getoption("--faults") == "all"
    struck = 0
    for number, place in enumerate(drawn(fault, remote), 1):
        struck += life(shared, place, fault)
        if struck > 0 and number >= SAMPLE[remote] and not every:
            break
    assert struck > 0
    shared.verify()


def life(rig: Rig, place: Place, fault: Fault) -> bool:
    """Live once; tell whether the fault struck."""
    prepare(rig, place.scenario)
    proxy = rig.s3_proxy if place.remote == "s3" else rig.convex_proxy
    armed = proxy.arm(fault, nth=place.nth)
    SCENARIOS[place.scenario](rig)
    try:
        seconds = rig.wait_quiet()
    except AssertionError as error:
        raise AssertionError(f"{fault} at {place}: {error}") from error
    finally:
        rig.clear()
    with (rig.folder / "lives.txt").open("a") as record:
        record.write(
            f"{place.scenario}\t{place.remote}\t{place.nth}\t{fault}\t{armed.fired}\t{seconds:.2f}\n"
        )
    return armed.fired > 0

"""How much of a core listings may take, in the long run and all together."""

from __future__ import annotations

import pytest

from sidecar.watch.scan.listing_costs import ListingPace, cost


def test_a_listing_costs_what_others_do_for_it_as_well() -> None:
    """But no more than twice what it counted itself, for others have work of their own."""
    assert cost(0.2, 0.3) == 0.3
    assert cost(0.2, 5.0) == 0.4
    assert cost(0.2, 0.1) == 0.2


def test_a_cheap_listing_comes_as_often_as_it_may() -> None:
    """A cheap one is one of ten thousand files."""
    assert ListingPace().rest_seconds("/a", 0.04, rescan_seconds=30.0, scanning=False) == 30.0


def test_a_listing_that_takes_long_is_rare() -> None:
    """It takes a third of a percent of a core."""
    rest = ListingPace().rest_seconds("/a", 1.0, rescan_seconds=30.0, scanning=False)
    assert 1.0 / rest <= 0.0034


@pytest.mark.parametrize("roots", [1, 2, 10])
def test_many_roots_take_no_more_than_one(roots: int) -> None:
    """Once each was listed, until one goes."""
    pace, share = ListingPace(), 0.0
    for _ in range(2):
        rests = [pace.rest_seconds(f"/{n}", 0.2, rescan_seconds=30.0, scanning=False) for n in range(roots)]
        share = sum(0.2 / rest for rest in rests)
    assert share <= 0.0034
    for n in range(1, roots):
        pace.forget(f"/{n}")
    assert pace.rest_seconds("/0", 0.2, rescan_seconds=30.0, scanning=False) == pytest.approx(60.0)


def test_where_nothing_else_tells_of_changes_a_root_waits_for_no_other() -> None:
    """Nor does another one wait for it."""
    pace = ListingPace()
    pace.rest_seconds("/large", 10.0, rescan_seconds=30.0, scanning=False)
    assert pace.rest_seconds("/nfs", 0.01, rescan_seconds=30.0, scanning=True) == 2.0
    assert pace.rest_seconds("/nfs", 1.0, rescan_seconds=30.0, scanning=True) == 20.0
    assert pace.rest_seconds("/large", 0.1, rescan_seconds=30.0, scanning=False) == pytest.approx(30.0)

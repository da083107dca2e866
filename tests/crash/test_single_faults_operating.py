"""Spoil one call to a remote, in every way, where operators and accidents come along.

    python -m pytest tests/crash --faults=all

takes calls that an outage spoils anyway, too, and all kinds of refusal at each call.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.simulation.operating import OPERATING

from .faulting import spoil_each_call


@pytest.mark.parametrize("scenario", OPERATING)
def test_a_fault_at_any_call_changes_nothing_in_the_end(
    scenario: str, *, spoils_all: bool, say: Callable[[str], None]
) -> None:
    """An error of every kind, before and after the commit, lost, late, doubled or slow."""
    spoil_each_call(scenario, takes_all=spoils_all, say=say)

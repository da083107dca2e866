"""Spoil one call to a remote, in every way, while a renderer works.

    python -m pytest tests/crash --faults=all

takes calls that an outage spoils anyway, too, and all kinds of refusal at each call.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.simulation.rendering import RENDERING

from .faulting import spoil_each_call, untried


@pytest.mark.parametrize("scenario", RENDERING)
def test_a_fault_at_any_call_changes_nothing_in_the_end(
    scenario: str, *, spoils_all: bool, say: Callable[[str], None]
) -> None:
    """An error of every kind, before and after the commit, lost, late, doubled or slow."""
    spoil_each_call(scenario, takes_all=spoils_all, say=say)


def test_every_kind_of_fault_meets_every_operation() -> None:
    """What one scenario leaves out in its turn, another one takes."""
    assert untried() == set()

"""The simulated remotes undisturbed and without waiting, for the contract suites."""

from __future__ import annotations

import random

from tests.support.memory_store import MemoryStore

from .ledger import in_memory
from .outside import Outside
from .power import Crash, Power


class _NoWait(random.Random):
    def random(self) -> float:
        return 0.0


class Unwatched:
    """Nobody wants to know where a life might be cut off."""

    def wants(self, _crash: Crash, _power: Power) -> bool:
        """Never."""
        return False

    def keep(self, _crash: Crash, _power: Power, _found: Outside) -> None:
        """Nothing is wanted."""


def calm_power() -> Power:
    """Return the door to an empty bucket and an empty deployment."""
    return Power(
        life=1,
        outside=Outside(steps=(), ledger=in_memory(), bucket=MemoryStore()),
        chance=_NoWait(),
        strand_seed="",
        watch=Unwatched(),
        stop=None,
        calls=[],
        spoilt=set(),
        faults={},
        trouble=lambda _name: None,
        on_call=lambda _name: None,
    )

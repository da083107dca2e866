"""``sidecar convex check-totals``: the totals of sessions, counted again in Convex and set right there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from sidecar.core.errors import SidecarError

TRIES_MAX = 5
Outcome = Literal["exact", "mended", "changed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recount:
    """What a count found; ``wrong`` entities did not add up to their assets, and do now.

    ``mended``: the session's counters were not the sum, and are now. ``changed``: sidecars wrote all along.
    """

    session_id: str
    outcome: Outcome
    wrong: int


class Counter(Protocol):
    """Convex, as a recount needs it."""

    async def recount(self, session_id: str) -> tuple[Outcome, int]:
        """Return the outcome of one count and the number of wrong entities. Raises SidecarError."""


async def check_totals(counter: Counter, session_ids: Sequence[str]) -> AsyncIterator[Recount | SidecarError]:
    """Yield what became of each session, in order; a session that sidecars are writing is counted again."""
    for session_id in session_ids:
        try:
            yield await _check(counter, session_id)
        except SidecarError as error:
            yield error


async def _check(counter: Counter, session_id: str) -> Recount:
    wrong = 0
    for _ in range(TRIES_MAX):
        outcome, found = await counter.recount(session_id)
        wrong += found
        if outcome != "changed":
            return Recount(session_id=session_id, outcome=outcome, wrong=wrong)
    return Recount(session_id=session_id, outcome="changed", wrong=wrong)

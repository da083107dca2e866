"""Counts what the journal has and is not delivered, for ``wait`` and for a drain: what may still come."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from sidecar.core.account import FileClass, class_of
from sidecar.core.model import State, Transfer
from sidecar.watch.complete.schedule import Candidate
from sidecar.watch.root import RootAway

Place = tuple[str, str]  # a root, and a path below it
GIVEN_UP = frozenset({State.DEAD, State.ABANDONED})
_NEED_THE_ROOT = frozenset({State.DISCOVERED, State.READY})


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfinished:
    """Numbers of files. ``given_up`` of the ``total`` need help, and ``refused`` ones cannot be read.

    ``stuck`` ones wait for a root that is away, beside what is refused there.
    """

    total: int
    given_up: int
    refused: int
    stuck: int

    @property
    def coming(self) -> int:
        """How many may still be delivered."""
        return self.total - self.given_up - self.refused - self.stuck


def count_unfinished(
    counts: Mapping[tuple[str, State], int], refused: Collection[Place], away: Mapping[str, RootAway]
) -> Unfinished:
    """Count by root and state; the journal has each of the ``refused`` as one that is discovered."""
    stuck = sum(
        number
        for (root, state), number in counts.items()
        if state not in GIVEN_UP and is_stuck(away.get(root), state)
    )
    return Unfinished(
        total=sum(counts.values()),
        given_up=sum(number for (_, state), number in counts.items() if state in GIVEN_UP),
        refused=len(refused),
        stuck=stuck - sum(root in away for root, _ in refused),
    )


def refused_now(candidates: Iterable[Candidate]) -> set[Place]:
    """Return those that cannot be read; a moment later it may be others."""
    return {(one.root, one.path) for one in candidates if one.file_class is FileClass.REFUSED}


def is_stuck(away: RootAway | None, state: State) -> bool:
    """Tell whether a transfer in this state waits for its root, which is ``away``."""
    if away is None:
        return False
    return away.kind == "not ours" or state in _NEED_THE_ROOT


def undelivered_counts(
    found: Mapping[tuple[str, State], int], *, syncing: bool
) -> dict[tuple[str, State], int]:
    """Drop what is at its end: without Convex (not ``syncing``) the upload is it."""
    return {key: number for key, number in found.items() if not _is_delivered(key[1], syncing=syncing)}


def undelivered_rows(rows: Sequence[Transfer], *, syncing: bool) -> list[Transfer]:
    """Drop the same of rows."""
    return [row for row in rows if not _is_delivered(row.state, syncing=syncing)]


def _is_delivered(state: State, *, syncing: bool) -> bool:
    return class_of(state, syncing=syncing) is FileClass.DELIVERED

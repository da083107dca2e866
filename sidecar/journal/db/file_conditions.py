"""Says in SQL what ``core/file_states.py`` says of files: ``files.absent`` is the number of a file's state.

States whose numbers are neighbours become a range: SQLite takes a partial index only where the question holds
the index's own condition in its own words (``IS_UNDECIDED`` is that of ``files_absent``).
"""

from __future__ import annotations

from collections.abc import Collection
from functools import cache

from sidecar.core.file_states import HERE, SLOT_HOLDERS, UNDECIDED, FileEvent, FileState, steps

_ORDER = sorted(FileState)


def is_among(states: Collection[FileState]) -> str:
    """Return the condition that a file is in one of ``states``."""
    ranges = [_is_within(first, last) for first, last in _ranges(states)]
    return ranges[0] if len(ranges) == 1 else f"({' OR '.join(ranges)})"


@cache
def knows(event: FileEvent) -> str:
    """Return the condition that a file's state has a step by ``event``."""
    return is_among(steps(event))


@cache
def state_after(event: FileEvent) -> str:
    """Return what ``absent`` is set to by ``event``, of files that know it and are remembered after it."""
    targets = {state: target for state, target in steps(event).items() if target is not None}
    if len(set(targets.values())) == 1:
        return f"{next(iter(targets.values())):d}"
    cases = " ".join(f"WHEN {state:d} THEN {target:d}" for state, target in targets.items())
    return f"CASE absent {cases} END"


def _ranges(states: Collection[FileState]) -> list[tuple[int, int]]:
    """Return first and last place, in the order of the numbers, of each run of neighbours."""
    places = sorted(_ORDER.index(state) for state in states)
    firsts = [place for place in places if place - 1 not in places]
    lasts = [place for place in places if place + 1 not in places]
    return list(zip(firsts, lasts, strict=True))


def _is_within(first: int, last: int) -> str:
    if first == last:
        return f"absent = {_ORDER[first]:d}"
    bounds = [f"absent > {_ORDER[first - 1]:d}"] if first else []
    bounds += [f"absent < {_ORDER[last + 1]:d}"] if last + 1 < len(_ORDER) else []
    return f"({' AND '.join(bounds)})" if len(bounds) > 1 else (bounds or ["TRUE"])[0]


# A file has its transfer's slot. Slots are as good as random: an index of them on `files`, too, would change
# a page of its own for each file.
OF_SLOT = "transfer IN (SELECT id FROM transfers WHERE slot = ?)"
IS_PRESENT = is_among({FileState.PRESENT})
IS_ABSENT = is_among({FileState.ABSENT})
IS_BEING_DELETED = is_among({FileState.DELETING})
HAS_SLOT = is_among(SLOT_HOLDERS)
IS_HERE = is_among(HERE)
IS_UNDECIDED = is_among(UNDECIDED)

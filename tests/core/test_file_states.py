"""The table of a file's states: what may follow from what, and what never may."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest

from sidecar.core.file_states import (
    HERE,
    SLOT_HOLDERS,
    TRANSITIONS,
    UNDECIDED,
    FileEvent,
    FileState,
    diagram,
    step,
    steps,
)
from sidecar.core.states import IllegalTransitionError

ARROWS = [(state, event, end) for state, known in TRANSITIONS.items() for event, end in known.items()]


def ways_into(state: FileState) -> set[tuple[FileState, FileEvent]]:
    """Return what leads to a state, without what stays in it."""
    return {(start, event) for start, event, end in ARROWS if end is state and start is not state}


def reached(start: FileState | None) -> set[FileState | None]:
    """Return all that may follow from a state."""
    found, rest = {start}, [start]
    while rest:
        last = rest.pop()
        further = set() if last is None else set(TRANSITIONS[last].values()) - found
        rest += further
        found |= further
    return found


def test_the_numbers_are_those_of_journals_that_are_out_there() -> None:
    """A number that changes its meaning misreads every journal of a version before."""
    assert {state.name: state.value for state in FileState} == {
        "PRESENT": 0,
        "MISSED": 1,
        "ABSENT": 2,
        "CONFIRMED": 3,
        "SETTLED": 4,
        "DELETING": 1_000,
        "DELETED": 1_001,
    }


@pytest.mark.parametrize(("state", "event"), list(itertools.product(FileState, FileEvent)))
def test_every_event_steps_or_is_refused(state: FileState, event: FileEvent) -> None:
    """Nothing in between; and an update of many files asks for the same states."""
    if event in TRANSITIONS[state]:
        assert step(state, event) is TRANSITIONS[state][event] is steps(event)[state]
    else:
        assert state not in steps(event)
        with pytest.raises(IllegalTransitionError, match=f"{state.name.lower()} knows no step {event}"):
            step(state, event)


def test_every_event_happens_in_some_state() -> None:
    """One that none knows would be a word without a meaning."""
    assert all(steps(event) for event in FileEvent)


@pytest.mark.parametrize("state", FileState)
def test_every_state_is_reached_and_left_for_good(state: FileState) -> None:
    """None is a trap: whatever was known of a file, it can be forgotten, and be there again."""
    assert state in reached(FileState.PRESENT)
    assert {FileState.PRESENT, None} <= reached(state)
    assert step(state, FileEvent.SEEN) is FileState.PRESENT


def test_only_the_sidecars_own_deletion_counts_as_one() -> None:
    """What people removed must not pass for ours, nor ours for theirs; and only we can take it back."""
    assert ways_into(FileState.DELETING) == {(FileState.PRESENT, FileEvent.DELETION_BEGUN)}
    assert ways_into(FileState.DELETED) == {(FileState.DELETING, FileEvent.DELETED)}
    ours = {FileState.DELETING, FileState.DELETED}
    assert not ours & (set(steps(FileEvent.NOT_LISTED)) | set(steps(FileEvent.DECIDED)) | UNDECIDED)
    assert ways_into(FileState.PRESENT) == {
        (FileState.DELETING, FileEvent.KEPT),
        *((state, FileEvent.SEEN) for state in FileState if state is not FileState.PRESENT),
    }


def test_two_listings_and_another_look_come_before_any_decision() -> None:
    """Each step of the count has one way in."""
    assert ways_into(FileState.MISSED) == {(FileState.PRESENT, FileEvent.NOT_LISTED)}
    assert ways_into(FileState.ABSENT) == {(FileState.MISSED, FileEvent.NOT_LISTED)}
    assert ways_into(FileState.CONFIRMED) == {(FileState.ABSENT, FileEvent.CONFIRMED)}
    assert set(steps(FileEvent.DECIDED)) == {FileState.CONFIRMED}


def test_what_lies_here_is_not_forgotten_for_its_absence() -> None:
    """Nor is its slot free before two listings missed it, nor decided twice what its absence means."""
    for event in (FileEvent.REMOVED, FileEvent.PRUNED):
        assert not HERE & set(steps(event))
    assert SLOT_HOLDERS | {FileState.DELETING} == HERE
    assert set(steps(FileEvent.NOT_LISTED)) == SLOT_HOLDERS
    assert {
        start for start, event, end in ARROWS if end is FileState.SETTLED and start is not end
    } == UNDECIDED


def test_the_diagram_in_the_docs_is_drawn_from_the_table() -> None:
    """ARCHITECTURE.md shows what the code does: each arrow, and nothing else."""
    text = Path(__file__).parents[2].joinpath("sidecar/ARCHITECTURE.md").read_text()
    assert diagram() in text
    drawn = set()
    for start, end, events in re.findall(r"^ +(\w+) --> (\S+): (.+)$", diagram(), re.MULTILINE):
        target = None if end == "[*]" else FileState[end.upper()]
        drawn |= {(FileState[start.upper()], FileEvent(event), target) for event in events.split(", ")}
    assert drawn == set(ARROWS)

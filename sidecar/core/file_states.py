"""Where a remembered file is, as one table: what listings say of it, and what we did to it ourselves.

``diagram()`` draws the table for ARCHITECTURE.md; a test holds the two together. The journal keeps the state
of each file as its number, in ``files.absent``.

``files.spared`` is no state but a flag beside any of them: the file's absence is nobody's wish, so no removal
follows from it, until the file is seen as it was or with complete content of its own.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum

from .states import IllegalTransitionError


class FileState(IntEnum):
    """What is known of a file's place on the disk. The numbers are stored, so they never change."""

    PRESENT = 0  # a listing or an event showed it, and none has missed it since
    MISSED = 1  # one full listing did not show it
    ABSENT = 2  # the next one did not either: its slot is free
    CONFIRMED = 3  # another look at all roots began: at its end whoever else has the slot has taken it
    SETTLED = 4  # it was decided what its absence means: nothing more follows from it
    DELETING = 1_000  # the sidecar itself is deleting it, and may yet put it back
    DELETED = 1_001  # the sidecar itself deleted it


class FileEvent(StrEnum):
    """What can happen to a remembered file."""

    SEEN = "seen"  # by a listing or an event, or its changed bytes were read
    NOT_LISTED = "not listed"  # a full listing of its folder did not show it
    CONFIRMED = "confirmed"  # it is absent, and another look at all roots begins
    DECIDED = "decided"  # a removal began, an operator is asked, or nothing is to be done
    DISMISSED = "dismissed"  # an operator, or a changed setting, keeps its asset
    DELETION_BEGUN = "deletion begun"  # by the sidecar: its content is delivered
    DELETED = "deleted"  # by the sidecar
    KEPT = "kept"  # the sidecar did not delete it after all
    REMOVED = "removed"  # Convex gave its asset up: its row is dropped
    PRUNED = "pruned"  # its content is over since `journal.keep`: its row is dropped
    VANISHED = "vanished"  # its content is not sent, and no older one was: its row is dropped


TRANSITIONS: dict[FileState, dict[FileEvent, FileState | None]] = {
    FileState.PRESENT: {
        FileEvent.SEEN: FileState.PRESENT,
        FileEvent.NOT_LISTED: FileState.MISSED,
        FileEvent.DELETION_BEGUN: FileState.DELETING,
        FileEvent.VANISHED: None,
    },
    FileState.MISSED: {
        FileEvent.SEEN: FileState.PRESENT,
        FileEvent.NOT_LISTED: FileState.ABSENT,
        FileEvent.DISMISSED: FileState.SETTLED,
        FileEvent.VANISHED: None,
    },
    FileState.ABSENT: {
        FileEvent.SEEN: FileState.PRESENT,
        FileEvent.CONFIRMED: FileState.CONFIRMED,
        FileEvent.DISMISSED: FileState.SETTLED,
        FileEvent.REMOVED: None,
        FileEvent.PRUNED: None,
        FileEvent.VANISHED: None,
    },
    FileState.CONFIRMED: {
        FileEvent.SEEN: FileState.PRESENT,
        FileEvent.DECIDED: FileState.SETTLED,
        FileEvent.DISMISSED: FileState.SETTLED,
        FileEvent.REMOVED: None,
        FileEvent.PRUNED: None,
        FileEvent.VANISHED: None,
    },
    FileState.SETTLED: {
        FileEvent.SEEN: FileState.PRESENT,
        FileEvent.DISMISSED: FileState.SETTLED,
        FileEvent.REMOVED: None,
        FileEvent.PRUNED: None,
        FileEvent.VANISHED: None,
    },
    FileState.DELETING: {
        FileEvent.SEEN: FileState.PRESENT,
        FileEvent.DELETED: FileState.DELETED,
        FileEvent.KEPT: FileState.PRESENT,
        FileEvent.VANISHED: None,
    },
    FileState.DELETED: {
        FileEvent.SEEN: FileState.PRESENT,
        FileEvent.PRUNED: None,
        FileEvent.VANISHED: None,
    },
}

SLOT_HOLDERS = frozenset({FileState.PRESENT, FileState.MISSED})  # listings expect it; no other has its slot
HERE = SLOT_HOLDERS | {FileState.DELETING}  # it lies here: a deletion that was begun may be taken back
UNDECIDED = frozenset({FileState.MISSED, FileState.ABSENT, FileState.CONFIRMED})  # it may become a removal


def step(state: FileState, event: FileEvent) -> FileState | None:
    """Return the state after ``event``; None means that the file's row is dropped.

    Raises IllegalTransitionError where the table has no such step.
    """
    try:
        return TRANSITIONS[state][event]
    except KeyError:
        raise IllegalTransitionError(f"a file that is {_drawn(state)} knows no step {event}") from None


def steps(event: FileEvent) -> dict[FileState, FileState | None]:
    """Return each state that knows ``event``, with the state after it."""
    return {state: known[event] for state, known in TRANSITIONS.items() if event in known}


def diagram() -> str:
    """Return the table as a Mermaid state diagram, with one arrow from a state to another."""
    lines = ["stateDiagram-v2", "    [*] --> present"]
    for state, known in TRANSITIONS.items():
        arrows: dict[FileState | None, list[str]] = {}
        for event, target in known.items():
            arrows.setdefault(target, []).append(event)
        for target, events in arrows.items():
            lines.append(f"    {_drawn(state)} --> {_drawn(target)}: {', '.join(events)}")
    return "\n".join(lines)


def _drawn(state: FileState | None) -> str:
    return "[*]" if state is None else state.name.lower()

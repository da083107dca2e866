"""The life of a transfer as one table. An illegal step raises and changes nothing.

``diagram()`` draws the table for ARCHITECTURE.md; a test holds the two together.
"""

from __future__ import annotations

from enum import StrEnum

from .model import State


class Event(StrEnum):
    """What can happen to a transfer."""

    COMPLETED = "completed"  # no writer, structure whole, fingerprinted
    UNCHANGED = "unchanged"  # complete, but nothing new: the row is dropped
    WITHHELD = "withheld"  # a piece of an HLS or DASH stream: the row is dropped, the file is held
    VANISHED = "vanished"  # the file was deleted before it could be read
    REMOVED = "removed"  # the file was deleted, and Convex gave its asset up
    ABANDONED = "neglected"  # incomplete without a writer for abandon_after
    REVIVED = "revived"  # an abandoned file changed again
    UPLOADED = "uploaded"  # S3 confirmed the bytes
    ACKNOWLEDGED = "acknowledged"  # Convex applied the op, or said it knows it
    ADOPTED = "adopted"  # Convex and S3 hold this very content, from before a journal was lost
    SUPERSEDED = "overtaken"  # newer content of the slot is ready
    FAILED = "exhausted"  # attempts spent, or refused for good
    REQUEUED_UPLOAD = "requeued to upload"  # by an operator, or reconciled; the bytes are not in S3
    REQUEUED_SYNC = "requeued to sync"  # by an operator, or reconciled; only Convex is owed


class IllegalTransitionError(Exception):
    """A step that the table does not know: a bug, never bad input."""


TRANSITIONS: dict[State, dict[Event, State | None]] = {
    State.DISCOVERED: {
        Event.COMPLETED: State.READY,
        Event.UNCHANGED: None,
        Event.WITHHELD: None,
        Event.VANISHED: State.GONE,
        Event.ABANDONED: State.ABANDONED,
        Event.FAILED: State.DEAD,
    },
    State.ABANDONED: {Event.REVIVED: State.DISCOVERED, Event.VANISHED: State.GONE},
    State.READY: {
        Event.UPLOADED: State.UPLOADED,
        Event.ADOPTED: State.SYNCED,
        Event.SUPERSEDED: State.SUPERSEDED,
        Event.WITHHELD: None,
        Event.VANISHED: State.GONE,
        Event.FAILED: State.DEAD,
    },
    State.UPLOADED: {
        Event.ACKNOWLEDGED: State.SYNCED,
        Event.SUPERSEDED: State.SUPERSEDED,
        Event.FAILED: State.DEAD,
    },
    State.DEAD: {
        Event.REQUEUED_UPLOAD: State.READY,
        Event.REQUEUED_SYNC: State.UPLOADED,
        Event.SUPERSEDED: State.SUPERSEDED,
    },
    State.SYNCED: {
        Event.REQUEUED_UPLOAD: State.READY,
        Event.REQUEUED_SYNC: State.UPLOADED,
        Event.REMOVED: State.GONE,
    },
    State.SUPERSEDED: {},
    State.GONE: {},
}


def step(state: State, event: Event) -> State | None:
    """Return the state after ``event``; None means that the row is dropped.

    Raises IllegalTransitionError where the table has no such step.
    """
    try:
        return TRANSITIONS[state][event]
    except KeyError:
        raise IllegalTransitionError(f"{state} knows no step {event}") from None


def diagram() -> str:
    """Return the table as a Mermaid state diagram."""
    lines = ["stateDiagram-v2", "    [*] --> discovered"]
    for state, steps in TRANSITIONS.items():
        lines += [f"    {state} --> {target or '[*]'}: {event}" for event, target in steps.items()]
        if not steps:
            lines.append(f"    {state} --> [*]")
    return "\n".join(lines)

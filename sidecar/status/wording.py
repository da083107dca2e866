"""The sentences that people read: what a state means for a file, what an error asks of an operator.

A hint for a kind of error is left out where the message has its own, which knows more.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from sidecar.core.errors import ErrorKind
from sidecar.core.model import State, Transfer

HINTS = {
    ErrorKind.NETWORK: "look whether the remote answers from this machine",
    ErrorKind.THROTTLED: "nothing to do: the remote asked for less, and gets less",
    ErrorKind.UNAUTHORIZED: "look at the credentials",
    ErrorKind.FORBIDDEN: "give these credentials the missing right",
    ErrorKind.NOT_FOUND: "look at the name of the bucket, or deploy the functions",
    ErrorKind.INVALID: "the remote refuses this very content: change the file or the rule, then requeue it",
    ErrorKind.CONFLICT: "requeue it",
    ErrorKind.QUOTA: "make room at the remote, then requeue it",
    ErrorKind.CORRUPT: "the bytes changed on the way or while they were read: requeue it",
    ErrorKind.LOCAL_IO: "look at the file's permissions and at the disk: it goes on by itself",
    ErrorKind.UNKNOWN: "the message is all that is known; requeue it",
}
_MEANINGS = {
    State.DISCOVERED: "seen, and not complete yet",
    State.READY: "complete, and waiting for its upload",
    State.UPLOADED: "in S3, and waiting to be told to Convex",
    State.SYNCED: "synced: S3 holds it and Convex knows it",
    State.SUPERSEDED: "overtaken by newer content",
    State.DEAD: "given up, a dead letter",
    State.GONE: "deleted",
    State.ABANDONED: "incomplete, and nobody writes it any more",
}
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"))
_STEP = 1024
UNMADE_MAX = 3


def meaning(transfer: Transfer, *, syncing: bool = True) -> str:
    """Return what its state means for the file, as part of a sentence; ``syncing``: Convex is told."""
    if transfer.parked and transfer.state is State.READY:
        return "complete, and waiting for the end of its scene, or for a playlist"
    if transfer.state is State.UPLOADED and not syncing:
        return "in S3, which is the end: Convex is not told"
    return _MEANINGS[transfer.state]


def unmade(reasons: Sequence[str]) -> list[str]:
    """Return one sentence of what the application has not made, and what waits for; none if nothing does."""
    if not reasons:
        return []
    named = "; ".join(reasons[:UNMADE_MAX]) + ("; ..." if len(reasons) > UNMADE_MAX else "")
    what = count(len(reasons), "session or scene", "sessions and scenes")
    return [f"what names {what} waits in the outbox until your application makes {_it(reasons)}: {named}"]


def _it(reasons: Sequence[str]) -> str:
    return "it" if len(reasons) == 1 else "them"


def hint_for(kind: str) -> str | None:
    """Return what an operator can do about an error of this kind."""
    return HINTS.get(ErrorKind(kind)) if kind in set(ErrorKind) else None


def failure(transfer: Transfer) -> str:
    """Return why a transfer failed last, as part of a sentence; "" if it did not."""
    if transfer.error_kind is None:
        return ""
    return f"{transfer.error_kind}: {transfer.error_message or 'no message'}"


def iso(wall_ms: int) -> str:
    """Return a time as 2026-01-31T12:00:00.000Z."""
    moment = datetime.fromtimestamp(wall_ms / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def iso_or_none(wall_ms: int | None) -> str | None:
    """Return a time that may be unknown."""
    return None if wall_ms is None else iso(wall_ms)


def size(size_bytes: float) -> str:
    """Return a size that people read: 3 B, 1.5 KiB, 20.0 MiB."""
    if size_bytes < _STEP:
        return f"{size_bytes:.0f} B"
    for unit in ("KiB", "MiB", "GiB"):
        size_bytes /= _STEP
        if size_bytes < _STEP:
            return f"{size_bytes:.1f} {unit}"
    return f"{size_bytes / _STEP:.1f} TiB"


def age(seconds: float) -> str:
    """Return an age that people read: 3 s, 5 min, 2 h, 4 d."""
    for length, unit in _UNITS:
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def count(number: int, noun: str, nouns: str | None = None) -> str:
    """Return "1 file", "2 files"."""
    return f"{number} {noun if number == 1 else nouns or f'{noun}s'}"

"""Looks at one candidate: opens, takes a lease, judges the structure, decides, and reads what is complete.

Blocking: the candidates' worker threads call it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import PurePosixPath

from sidecar.core.model import Fingerprint, Piece, StatIdentity, StreamKey
from sidecar.files import ForeignLinkError, NotRegularError, identity_of, open_regular
from sidecar.homes import AWAY, away, in_the_way, is_at_home

from . import lease, structure
from .fingerprint import Changed, Vanished, take, take_open
from .form import UNKNOWN, Structure
from .fragments import piece_of
from .lease import Lease
from .readiness import Abandon, Complete, Decision, Evidence, Patience, Wait, decide
from .smallest import by_size
from .volume import Readiness, Volumes

SMALL_BYTES = 1024 * 1024  # read at once by the thread that looked; larger files have lanes of their own
SETTLE_DEFAULT, SETTLE_UNLEASED, SETTLE_SCANNING = 0.25, 2.0, 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """What a root's settings say of waiting. The default settle time follows its volume and events."""

    settle_seconds: float
    scanning: bool  # changes are seen by listings only
    abandon_after_seconds: float

    def patience(self, rule_seconds: float | None, *, exact: bool) -> Patience:
        """Return how long to wait for a file: as its rule says, or its root, or what can be trusted here."""
        settle = rule_seconds if rule_seconds is not None else self.settle_seconds
        if rule_seconds is None and settle == SETTLE_DEFAULT and not exact:
            settle = SETTLE_SCANNING if self.scanning else SETTLE_UNLEASED
        return Patience(settle_seconds=settle, abandon_after_seconds=self.abandon_after_seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What a look needs to know of a candidate. ``quiet_since`` is monotonic, of ``identity``."""

    id: int
    root: str
    path: str
    rule_settle_seconds: float | None
    check_structure: bool
    identity: StatIdentity | None
    quiet_since: float
    home: str | None = None
    claim: StreamKey | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Obstructed:
    """``error`` is why a path, below the root, cannot be read at this moment."""

    below: str
    error: OSError


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """The file is there and cannot be read: ``why``. ``by``: what is in the way, None: a refusal."""

    why: str
    by: Obstructed | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Away:
    """Nothing is at the path, but its root or volume is away, too: that says nothing of the file."""

    why: str
    by: Obstructed


@dataclass(frozen=True, slots=True, kw_only=True)
class Withhold:
    """The file is complete, and a playlist holds it; ``why`` is a sentence."""

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What one look found: a decision, or with Complete on a small file already the fingerprint."""

    identity: StatIdentity | None
    found: Decision | Fingerprint | Changed | Vanished | Unreadable | Away | Withhold
    piece: Piece = Piece.NONE


def look(subject: Subject, habits: Habits, volumes: Volumes, *, now: float) -> Look:
    """Look at a candidate. ``now`` is monotonic seconds, of just before the call."""
    try:
        fd = open_regular(subject.root, subject.path)
    except (FileNotFoundError, NotRegularError):
        return Look(identity=None, found=_absent(subject))
    except OSError as error:
        return Look(identity=None, found=_unreadable(subject, error))
    try:
        return _look_into(fd, subject, habits, volumes, now)
    except OSError as error:
        return Look(identity=None, found=_unreadable(subject, error))
    finally:
        os.close(fd)


def read(subject: Subject, identity: StatIdentity) -> Fingerprint | Changed | Vanished | Unreadable | Away:
    """Fingerprint a complete file that looked like ``identity``."""
    try:
        found = take(subject.root, subject.path, expected=identity)
    except OSError as error:
        return _unreadable(subject, error)
    return _absent(subject) if isinstance(found, Vanished) else found


def _absent(subject: Subject) -> Vanished | Away:
    """Judge a path without a file: a root that is away, such as an unmounted volume, ends no transfer."""
    if is_at_home(subject.root, subject.path, subject.home):
        return Vanished()
    return Away(why=AWAY, by=_by(subject, away()))


def _unreadable(subject: Subject, error: OSError) -> Unreadable:
    refused = isinstance(error, ForeignLinkError)
    words = error.strerror or str(error)
    return Unreadable(why=f"it cannot be read: {words}", by=None if refused else _by(subject, error))


def _by(subject: Subject, error: OSError) -> Obstructed:
    found = in_the_way(subject.root, subject.path, subject.home)
    return Obstructed(below=found.below, error=error)


def _look_into(fd: int, subject: Subject, habits: Habits, volumes: Volumes, now: float) -> Look:
    identity, decision = _examine(fd, subject, habits, volumes, now)
    if not isinstance(decision, Complete):
        return Look(identity=identity, found=decision)
    piece = Piece.NONE if subject.claim is None else piece_of(fd, PurePosixPath(subject.path).name)
    is_small = identity.size_bytes <= SMALL_BYTES
    found = take_open(fd, expected=identity) if is_small else decision
    return Look(identity=identity, found=found, piece=piece)


def _examine(
    fd: int, subject: Subject, habits: Habits, volumes: Volumes, now: float
) -> tuple[StatIdentity, Decision]:
    found = os.fstat(fd)
    identity = identity_of(found)
    held = _lease(fd, subject, volumes, found.st_dev)
    shape = UNKNOWN
    if held is not Lease.BUSY:
        judge = structure.judge if subject.check_structure else _judge_size
        shape = judge(fd, PurePosixPath(subject.path).name)
    quiet = now - subject.quiet_since if identity == subject.identity else 0.0
    evidence = Evidence(lease=held, structure=shape, quiet_seconds=quiet)
    return identity, decide(evidence, habits.patience(subject.rule_settle_seconds, exact=held is Lease.FREE))


def _judge_size(fd: int, name: str) -> Structure:
    """Judge a file that nobody is to look into: what is empty, or nearly so, is no film all the same."""
    return by_size(os.fstat(fd).st_size, name)


def _lease(fd: int, subject: Subject, volumes: Volumes, device: int) -> Lease:
    if volumes.readiness(subject.root, subject.path.rpartition("/")[0], device) is Readiness.LEASE:
        return lease.probe(fd)
    return Lease.UNAVAILABLE


__all__ = [
    "Abandon", "Away", "Complete", "Habits", "Look", "Subject", "Unreadable", "Wait",
    "Withhold", "look", "read",
]  # fmt: skip

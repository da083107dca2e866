"""Looks at one candidate: opens, takes a lease, judges the structure, decides, and reads what is complete.

A small file is read at once, under its lease where there is one: whoever opens it for writing waits for that
one read. To ask twice, before and after the read, costs more, and lets through what a writer does between the
two within one tick of the file system's clock, by which the identity stays the same.

Blocking: the candidates' worker threads call it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import NamedTuple

from sidecar.core.media_facts import MediaFacts
from sidecar.core.model import Fingerprint, Piece, StatIdentity, StreamKey
from sidecar.files import ForeignLinkError, KeptFolder, NotRegularError, identity_of, open_with_stat
from sidecar.homes import AWAY, away, find_obstruction, is_at_home
from sidecar.watch.formats import detect
from sidecar.watch.formats.base import UNKNOWN, Structure
from sidecar.watch.formats.minimum_size import by_size
from sidecar.watch.formats.stream_pieces import piece_of
from sidecar.watch.os import write_lease
from sidecar.watch.os.filesystem import Filesystems, ReadinessMethod
from sidecar.watch.os.write_lease import WriterCheck

from .decide import Abandon, Complete, Decision, ProbeEvidence, Wait, WaitPolicy, decide
from .fingerprint import Changed, Vanished, of_data, take, take_open

READ_ONCE_BYTES = 64 * 1024  # judged and fingerprinted of one read
SMALL_BYTES = 1024 * 1024  # read at once by the thread that looked; larger files have lanes of their own
SETTLE_DEFAULT, SETTLE_UNLEASED, SETTLE_SCANNING = 0.25, 2.0, 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbePolicy:
    """What a root's settings say of waiting. The default settle time follows its volume and events.

    ``has_leases``: at the root a closed file is known by a lease.
    """

    settle_seconds: float
    scanning: bool  # changes are seen by listings only
    abandon_after_seconds: float
    has_leases: bool = False

    def wait_policy(self, rule_seconds: float | None, *, exact: bool) -> WaitPolicy:
        """Return how long to wait for a file: as its rule says, or its root, or what can be trusted here."""
        settle = rule_seconds if rule_seconds is not None else self.settle_seconds
        if rule_seconds is None and settle == SETTLE_DEFAULT and not exact:
            settle = SETTLE_SCANNING if self.scanning else SETTLE_UNLEASED
        return WaitPolicy(settle_seconds=settle, abandon_after_seconds=self.abandon_after_seconds)


@dataclass(slots=True, kw_only=True)  # each look makes one: frozen takes twice as long
class ProbeRequest:
    """What a look needs to know of a candidate. ``quiet_since`` is monotonic, of ``identity``."""

    row_id: int
    root: str
    path: str
    rule_settle_seconds: float | None
    check_structure: bool
    identity: StatIdentity | None
    quiet_since: float
    home: str | None = None
    claim: StreamKey | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PathError:
    """``error`` is why a path, below the root, cannot be read at this moment."""

    below: str
    error: OSError


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """The file is there and cannot be read: ``why``. ``by``: what is in the way, None: a refusal."""

    why: str
    by: PathError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeAway:
    """Nothing is at the path, but its root or volume is away, too: that says nothing of the file."""

    why: str
    by: PathError


@dataclass(frozen=True, slots=True, kw_only=True)
class Withhold:
    """The file is complete, and a playlist holds it; ``why`` is a sentence."""

    why: str


class ProbeResult(NamedTuple):
    """What one look found: a decision, or with Complete on a small file already the fingerprint."""

    identity: StatIdentity | None
    found: Decision | Fingerprint | Changed | Vanished | Unreadable | VolumeAway | Withhold
    piece: Piece = Piece.NONE
    media: MediaFacts | None = None


def probe(
    request: ProbeRequest,
    policy: ProbePolicy,
    volumes: Filesystems,
    *,
    now: float,
    folder: KeptFolder | None = None,
) -> ProbeResult:
    """Look at a candidate. ``now`` is monotonic seconds, of just before the call.

    ``folder`` is the one that the last candidate of the batch lay in.
    """
    try:
        fd, found = open_with_stat(request.root, request.path, folder)
    except (FileNotFoundError, NotRegularError):
        return ProbeResult(identity=None, found=_absent(request))
    except OSError as error:
        return ProbeResult(identity=None, found=_unreadable(request, error))
    try:
        return _probe_open(fd, found, request, policy, volumes, now)
    except OSError as error:
        return ProbeResult(identity=None, found=_unreadable(request, error))
    finally:
        os.close(fd)


def read(
    request: ProbeRequest, identity: StatIdentity, *, part_bytes: int | None
) -> Fingerprint | Changed | Vanished | Unreadable | VolumeAway:
    """Fingerprint a complete file that looked like ``identity``; ``part_bytes`` as ``take`` says."""
    try:
        found = take(request.root, request.path, expected=identity, part_bytes=part_bytes)
    except OSError as error:
        return _unreadable(request, error)
    return _absent(request) if isinstance(found, Vanished) else found


def _absent(request: ProbeRequest) -> Vanished | VolumeAway:
    """Judge a path without a file: a root that is away, such as an unmounted volume, ends no transfer."""
    if is_at_home(request.root, request.path, request.home):
        return Vanished()
    return VolumeAway(why=AWAY, by=_by(request, away()))


def _unreadable(request: ProbeRequest, error: OSError) -> Unreadable:
    refused = isinstance(error, ForeignLinkError)
    words = error.strerror or str(error)
    return Unreadable(why=f"it cannot be read: {words}", by=None if refused else _by(request, error))


def _by(request: ProbeRequest, error: OSError) -> PathError:
    found = find_obstruction(request.root, request.path, request.home)
    return PathError(below=found.below, error=error)


def _probe_open(
    fd: int,
    found: os.stat_result,
    request: ProbeRequest,
    policy: ProbePolicy,
    volumes: Filesystems,
    now: float,
) -> ProbeResult:
    identity = identity_of(found)
    folder, _, name = request.path.rpartition("/")
    has_leases = volumes.readiness(request.root, folder, found.st_dev) is ReadinessMethod.LEASE
    seen = _read_at_once(fd, identity.size_bytes, has_leases=has_leases)
    shape = UNKNOWN
    if seen.lease is not WriterCheck.BUSY:
        judge = detect.judge if request.check_structure else _judge_size
        shape = judge(fd, name, seen.data)
    quiet = now - request.quiet_since if identity == request.identity else 0.0
    evidence = ProbeEvidence(lease=seen.lease, structure=shape, quiet_seconds=quiet)
    is_exact = seen.lease is WriterCheck.FREE
    decision = decide(evidence, policy.wait_policy(request.rule_settle_seconds, exact=is_exact))
    if not isinstance(decision, Complete):
        return ProbeResult(identity, decision)
    piece = Piece.NONE
    if request.claim is not None:
        piece = piece_of(fd, name, seen.data, is_one_film=shape.is_one_film)
    content = _content(fd, identity, seen) if identity.size_bytes <= SMALL_BYTES else decision
    return ProbeResult(identity, content, piece, shape.media)


class _Read(NamedTuple):
    """What the kernel said of writers, and all of a small file, where it could be read.

    ``after``: the file, as it was while it was read and nobody could write; None where that is not sure.
    """

    lease: WriterCheck
    data: bytes | None = None
    after: os.stat_result | None = None


def _read_at_once(fd: int, size_bytes: int, *, has_leases: bool) -> _Read:
    """Ask for writers, and read all of a small file: under the lease, so that none comes in."""
    if not has_leases:
        return _Read(WriterCheck.UNAVAILABLE, _data(fd, size_bytes))
    if (lease := write_lease.hold_read_lease(fd)) is not WriterCheck.FREE:
        return _Read(lease, None if lease is WriterCheck.BUSY else _data(fd, size_bytes))
    data = after = None
    try:
        data = _data(fd, size_bytes)
        after = None if data is None else os.fstat(fd)
    finally:
        was_held = write_lease.give_back(fd)
    return _Read(lease, data, after if was_held else None)


def _data(fd: int, size_bytes: int) -> bytes | None:
    """Return all of a small file; None where it is none, or is another size by now."""
    if size_bytes > READ_ONCE_BYTES:
        return None
    data = os.pread(fd, size_bytes + 1, 0)
    return data if len(data) == size_bytes else None


def _content(fd: int, identity: StatIdentity, seen: _Read) -> Fingerprint | Changed:
    if seen.data is not None and seen.after is not None:
        return of_data(seen.data, expected=identity, after=seen.after)
    return take_open(fd, expected=identity, data=seen.data)


def _judge_size(fd: int, name: str, data: bytes | None = None) -> Structure:
    """Judge a file that nobody is to look into: what is empty, or nearly so, is no film all the same."""
    return by_size(os.fstat(fd).st_size if data is None else len(data), name)


__all__ = [
    "Abandon",
    "Complete",
    "ProbePolicy",
    "ProbeRequest",
    "ProbeResult",
    "Unreadable",
    "VolumeAway",
    "Wait",
    "Withhold",
    "probe",
    "read",
]  # fmt: skip

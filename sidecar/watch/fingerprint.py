"""Read a complete file once, and be sure that what was read is one state of it."""

from __future__ import annotations

import os
from dataclasses import dataclass

from sidecar.core.model import Fingerprint, StatIdentity
from sidecar.files import NotRegularError, TruncatedError, checksum_of, open_regular, stat_identity

from . import lease
from .lease import Lease


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """Somebody wrote to it, or put another file in its place, before the read was over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vanished:
    """There is no regular file at the path any more."""


def take(root: str, path: str, *, expected: StatIdentity) -> Fingerprint | Changed | Vanished:
    """Read all of the file. ``expected`` is its identity when it was judged complete.

    The identity is equal before and after the read, no writer has appeared, and the name still leads
    to it; otherwise the read is void. Raises OSError for a file that cannot be opened or read.
    """
    try:
        fd = open_regular(root, path)
    except (FileNotFoundError, NotRegularError):
        return Vanished()
    try:
        return _read(fd, expected)
    except TruncatedError:
        return Changed()
    finally:
        os.close(fd)


def _read(fd: int, expected: StatIdentity) -> Fingerprint | Changed:
    if stat_identity(fd) != expected:
        return Changed()
    checksum = checksum_of(fd, 0, expected.size_bytes)
    # The lease before the stat: a writer that comes between the two changes the identity we see.
    if lease.probe(fd) is Lease.BUSY:
        return Changed()
    after = os.fstat(fd)
    if after.st_nlink == 0 or stat_identity(fd) != expected:
        return Changed()
    return Fingerprint(identity=expected, checksum=checksum)

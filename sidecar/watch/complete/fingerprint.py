"""Reads a complete file once, and makes sure that what was read is one state of it."""

from __future__ import annotations

import os
from dataclasses import dataclass

from sidecar.core.model import Fingerprint, StatIdentity
from sidecar.files import (
    NotRegularError,
    TruncatedError,
    checksum_of,
    identity_of,
    open_regular,
    stat_identity,
)
from sidecar.watch.os import write_lease
from sidecar.watch.os.write_lease import WriterCheck


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """Somebody wrote to it, or put another file in its place, before the read was over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vanished:
    """There is no regular file at the path any more."""


def take(root: str, path: str, *, expected: StatIdentity) -> Fingerprint | Changed | Vanished:
    """Open a file and read all of it. ``expected`` is its identity when it was judged complete.

    Raises OSError for a file that cannot be opened or read.
    """
    try:
        fd = open_regular(root, path)
    except (FileNotFoundError, NotRegularError):
        return Vanished()
    try:
        return take_open(fd, expected=expected)
    finally:
        os.close(fd)


def take_open(fd: int, *, expected: StatIdentity) -> Fingerprint | Changed:
    """Read all of an open file.

    The identity is equal before and after the read, no writer has appeared, and the file still has a
    name; otherwise the read is void. Raises OSError where it cannot be read.
    """
    if stat_identity(fd) != expected:
        return Changed()
    try:
        checksum = checksum_of(fd, 0, expected.size_bytes)
    except TruncatedError:
        return Changed()
    # The lease before the stat: a writer that comes between the two changes the identity we see.
    if write_lease.take_read_lease(fd) is WriterCheck.BUSY:
        return Changed()
    after = os.fstat(fd)
    if after.st_nlink == 0 or identity_of(after) != expected:
        return Changed()
    return Fingerprint(identity=expected, checksum=checksum)

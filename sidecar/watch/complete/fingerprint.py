"""Reads a complete file once, and makes sure that what was read is one state of it."""

from __future__ import annotations

import os
from dataclasses import dataclass

from awscrt.checksums import crc64nvme

from sidecar.core.checksums import combine, to_text
from sidecar.core.model import Fingerprint, PartChecksums, StatIdentity
from sidecar.core.parts import OBJECT_BYTES_MAX, part_size, plan
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


def take(
    root: str, path: str, *, expected: StatIdentity, part_bytes: int | None = None
) -> Fingerprint | Changed | Vanished:
    """Open a file and read all of it. ``expected`` is its identity when it was judged complete.

    A file of ``part_bytes`` or more will be sent in such parts: the read tells the checksum of each.
    Raises OSError for a file that cannot be opened or read.
    """
    try:
        fd = open_regular(root, path)
    except (FileNotFoundError, NotRegularError):
        return Vanished()
    try:
        return take_open(fd, expected=expected, part_bytes=part_bytes)
    finally:
        os.close(fd)


def take_open(
    fd: int, *, expected: StatIdentity, part_bytes: int | None = None, data: bytes | None = None
) -> Fingerprint | Changed:
    """Read all of an open file; ``data`` is what was read of it since it was ``expected``, if anything was.

    The identity is equal before and after the read, no writer has appeared, and the file still has a
    name; otherwise the read is void. Raises OSError where it cannot be read.
    """
    if data is not None:
        checksum, parts = to_text(crc64nvme(data)), None
    else:
        if stat_identity(fd) != expected:
            return Changed()
        try:
            checksum, parts = _read(fd, expected.size_bytes, part_bytes)
        except TruncatedError:
            return Changed()
    # The lease before the stat: a writer that comes between the two changes the identity we see.
    if write_lease.take_read_lease(fd) is WriterCheck.BUSY or not _is_still(os.fstat(fd), expected):
        return Changed()
    return Fingerprint(identity=expected, checksum=checksum, parts=parts)


def of_data(data: bytes, *, expected: StatIdentity, after: os.stat_result) -> Fingerprint | Changed:
    """Return what ``take_open`` would of data that was read while nobody could write: under a held lease.

    ``after`` is a stat that was made under that lease, too; ``expected`` may be of before it.
    """
    if not _is_still(after, expected):
        return Changed()
    return Fingerprint(identity=expected, checksum=to_text(crc64nvme(data)))


def _is_still(after: os.stat_result, expected: StatIdentity) -> bool:
    return after.st_nlink > 0 and identity_of(after) == expected


def _read(fd: int, size_bytes: int, part_bytes: int | None) -> tuple[str, PartChecksums | None]:
    """Return the checksum of all, and those of the parts that it will be sent in, if it will."""
    if part_bytes is None or not part_bytes <= size_bytes <= OBJECT_BYTES_MAX:
        return checksum_of(fd, 0, size_bytes), None
    each_bytes = part_size(size_bytes, wanted_bytes=part_bytes)
    ranges = plan(size_bytes, part_bytes=each_bytes)
    checksums = tuple(checksum_of(fd, part.offset_bytes, part.length_bytes) for part in ranges)
    whole = combine(zip(checksums, (part.length_bytes for part in ranges), strict=True))
    return whole, PartChecksums(part_bytes=each_bytes, checksums=checksums)

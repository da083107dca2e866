"""Divides a file into the parts of a multipart upload, and says which of them are still to send."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .checksums import combine
from .model import MIB, Part, PartChecksums

PART_BYTES_MIN = 5 * MIB  # S3 refuses smaller ones, but for the last
PARTS_MAX = 10_000
OBJECT_BYTES_MAX = 5 * 1024 * 1024 * MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class PartRange:
    """A part before it is sent. Numbers begin with 1."""

    number: int
    offset_bytes: int
    length_bytes: int


def part_size(size_bytes: int, *, wanted_bytes: int) -> int:
    """Return the part size for a file: the wanted one, enlarged where S3's limits ask for it.

    A whole number of MiB when enlarged. Raises ValueError for a file that S3 does not take.
    """
    if size_bytes > OBJECT_BYTES_MAX:
        raise ValueError(f"{size_bytes} bytes are more than the {OBJECT_BYTES_MAX} that S3 takes")
    needed = -(-size_bytes // PARTS_MAX)
    if max(wanted_bytes, PART_BYTES_MIN) >= needed:
        return max(wanted_bytes, PART_BYTES_MIN)
    return -(-needed // MIB) * MIB


def plan(size_bytes: int, *, part_bytes: int) -> list[PartRange]:
    """Cut a file into parts of ``part_bytes``; the last one is what remains, never empty."""
    return [
        PartRange(number=number, offset_bytes=offset, length_bytes=min(part_bytes, size_bytes - offset))
        for number, offset in enumerate(range(0, size_bytes, part_bytes), start=1)
    ]


def checksums_of(
    found: PartChecksums | None, ranges: list[PartRange], *, whole: str | None
) -> dict[int, str]:
    """Return the checksum of each range, by number, as it was found when the file was read whole.

    Nothing where they are of other ranges, or do not add up to ``whole``, the file's own.
    """
    if found is None or [part.length_bytes for part in ranges[:-1]] != [found.part_bytes] * (len(ranges) - 1):
        return {}
    lengths = [part.length_bytes for part in ranges]
    is_theirs = len(found.checksums) == len(ranges) and lengths[-1] <= found.part_bytes
    if not is_theirs or combine(zip(found.checksums, lengths, strict=True)) != whole:
        return {}
    return {part.number: checksum for part, checksum in zip(ranges, found.checksums, strict=True)}


def kept(ranges: list[PartRange], stored: Mapping[int, Part], current: Mapping[int, str]) -> dict[int, Part]:
    """Return the stored parts, by number, that need not be sent again.

    ``current`` is the checksum of the bytes that are now in a part's range. A part is kept if S3 has
    it, it covers exactly its range, and the file still has the same bytes there.
    """
    return {
        wanted.number: part
        for wanted in ranges
        if (part := stored.get(wanted.number)) is not None
        and part.size_bytes == wanted.length_bytes
        and part.checksum == current.get(wanted.number)
    }


def missing(ranges: list[PartRange], have: Mapping[int, Part]) -> list[PartRange]:
    """Return the ranges that are still to send, in order."""
    return [wanted for wanted in ranges if wanted.number not in have]

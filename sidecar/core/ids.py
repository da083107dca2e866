"""Identifiers: transfer ids that carry the sidecar's tag, op ids, journal ids.

A transfer id is a ULID whose last 8 characters are a tag hashed from ``sidecar_id``, so that an object
or an open multipart upload in a shared bucket names its owner (CONTRACT.md, "The life of a file").
48 bits of time and 40 bits of chance remain.
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache

CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
TIME_LENGTH, TAG_LENGTH = 10, 8  # ids sort by their first characters as by their time
CHANCE_BYTES = 5
_PAIRS = [high + low for high in CROCKFORD for low in CROCKFORD]
_TRANSFER = re.compile(rf"(?<![0-9A-Z])([0-7][{CROCKFORD}]{{17}})([{CROCKFORD}]{{8}})(?![0-9A-Z])")


def sidecar_tag(sidecar_id: str) -> str:
    """Return the 8 characters (40 bits, Crockford's base 32) that mark everything of this sidecar."""
    number = int.from_bytes(hashlib.sha256(sidecar_id.encode()).digest()[:5])
    return _base32(number, TAG_LENGTH)


def transfer_id(*, wall_ms: int, chance: bytes, tag: str) -> str:
    """Return a ULID (26 characters) of a time, 5 bytes of chance, and the sidecar's tag.

    Raises ValueError if ``chance`` is not 5 bytes, the tag not 8 characters or the time not 48 bits.
    """
    if len(chance) != CHANCE_BYTES or len(tag) != TAG_LENGTH or not 0 <= wall_ms < 1 << 48:
        raise ValueError("a transfer id is 48 bits of time, 5 bytes of chance and a tag of 8 characters")
    return _time(wall_ms) + _base32(int.from_bytes(chance), 8) + tag


def time_of(transfer_id: str) -> int:
    """Return when a transfer id was made, in ms since 1970 by its maker's clock; 0 for what is none."""
    if _TRANSFER.fullmatch(transfer_id) is None:
        return 0
    time = 0
    for character in transfer_id[:TIME_LENGTH]:
        time = time << 5 | CROCKFORD.index(character)
    return time


def tags_in(key: str) -> set[str]:
    """Return the tags of all transfer ids in an object key."""
    return {match.group(2) for match in _TRANSFER.finditer(key)}


def transfer_in(key: str, tag: str) -> str | None:
    """Return the last transfer id with this tag in an object key, or None."""
    found = [match.group(0) for match in _TRANSFER.finditer(key) if match.group(2) == tag]
    return found[-1] if found else None


@lru_cache(maxsize=1)  # what a listing shows has one time
def _time(wall_ms: int) -> str:
    return _base32(wall_ms, TIME_LENGTH)


def _base32(number: int, length: int) -> str:
    return "".join([_PAIRS[(number >> (5 * i)) & 1023] for i in range(length - 2, -1, -2)])

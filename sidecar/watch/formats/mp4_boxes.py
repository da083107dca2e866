"""The boxes of MP4 and its kin: a size, a kind, a body."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import NamedTuple

from .base import BoundedReader, Source

_INDEX_BYTES_MAX = 32 + 12 * 65_535
_PLAIN, _WIDE = 8, 16  # bytes of a header, and of one whose size has 64 bits
_KIND = re.compile(rb"[\x20-\x7e\xa9]{4}")
_head_of, _new = struct.Struct(">I4s").unpack_from, tuple.__new__  # a namedtuple's own takes twice as long
_NOWHERE = 1 << 63  # where a box of an impossible size ends: beyond every file


class Box(NamedTuple):
    """A box's header. ``end`` is None where the size field says "to the end of the file".

    A film is told by a handful; a dataclass takes three times as long to make.
    """

    kind: bytes
    start: int
    body: int
    end: int | None


def boxes(source: Source, start: int, end: int) -> Iterator[Box]:
    """Yield headers until ``end`` or until one does not lead further."""
    at = source.at
    while start < end:
        head, header = at(start, _WIDE), _PLAIN
        size, kind = _head_of(head) if len(head) >= _PLAIN else (int.from_bytes(head[:4]), head[4:])
        if size == 1 and len(head) == _WIDE:
            size, header = int.from_bytes(head[8:16]), _WIDE
        elif size == 0:
            yield Box(kind, start, start + header, None)
            return
        stop = start + size if size >= header else _NOWHERE
        yield _new(Box, (kind, start, start + header, stop))
        start = stop


def is_kind(kind: bytes) -> bool:
    """Whether these four bytes can be a box's kind."""
    return _KIND.fullmatch(kind) is not None


def referenced_end(source: BoundedReader, body: int, end: int) -> int:
    """Return where the media ends that a `sidx` box refers to."""
    content = source.at(body, min(end - body, _INDEX_BYTES_MAX))
    wide = 8 if content[:1] != b"\0" else 4  # version 1 has times and offsets of 64 bits
    first_offset = int.from_bytes(content[12 + wide : 12 + 2 * wide])
    entries = content[16 + 2 * wide :]
    sizes: tuple[int, ...] = struct.unpack(f">{len(entries) // 4}I", entries[: len(entries) // 4 * 4])[::3]
    return end + first_offset + sum(sizes)

"""Reads the index of a multi-picture JPEG (CIPA DC-007): where in the file its other pictures are."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from .base import BoundedReader

_MAGIC = b"MPF\0"
_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}
_PICTURES_TAG = 0xB002
_FIELD = "HHII"  # tag, type, count or bytes, value or offset
_PICTURE = "IIIHH"  # attributes, size, offset, and two that it depends on
_PICTURES_MAX = 64
_INDEX_BYTES_MAX = 4096


def end(source: BoundedReader, offset: int, length: int) -> int:
    """Return where the last picture ends that an APP2 segment lists; 0 if it is no index."""
    if length < len(_MAGIC) or source.at(offset, len(_MAGIC)) != _MAGIC:
        return 0
    tiff = source.at(offset, min(length, _INDEX_BYTES_MAX))[len(_MAGIC) :]
    order = _ORDERS.get(tiff[:4])
    if order is None:
        return 0
    begin = offset + len(_MAGIC)  # the first picture is at 0, the others are counted from here
    try:
        return max((begin + at + size for at, size in _pictures(tiff, order) if at), default=0)
    except struct.error:
        return 0


def _pictures(tiff: bytes, order: str) -> Iterator[tuple[int, int]]:
    """Yield offset and size of each."""
    (directory,) = struct.unpack_from(order + "I", tiff, 4)
    (fields,) = struct.unpack_from(order + "H", tiff, directory)
    found = (
        struct.unpack_from(order + _FIELD, tiff, directory + 2 + 12 * number) for number in range(fields)
    )
    length, first = next(((length, first) for tag, _, length, first in found if tag == _PICTURES_TAG), (0, 0))
    step = struct.calcsize(order + _PICTURE)
    for place in range(first, first + min(length, step * _PICTURES_MAX), step):
        _, size, at, _, _ = struct.unpack_from(order + _PICTURE, tiff, place)
        yield at, size

"""MKV and WebM: the segment's size is known only once the writer has finished."""

from __future__ import annotations

from . import matroska_media
from .base import UNKNOWN, BoundedReader, Structure, complete, incomplete, torn
from .ebml import number

MAGIC = b"\x1a\x45\xdf\xa3"
_SEGMENT = 0x18538067
_FILLERS = frozenset({0xEC, 0xBF})  # Void and CRC-32 may stand before the segment
_ELEMENTS_MAX = 16
_LIVE = "; a live stream never gets one, say `structure: off` in its rule"


def judge(source: BoundedReader, start: int) -> Structure:
    """Find the segment behind the EBML header and compare its end with the file's."""
    offset = start
    for count in range(_ELEMENTS_MAX):
        head = source.at(offset, 16)
        element, id_bytes = number(head, keep_marker=True)
        length, length_bytes = number(head[id_bytes:], keep_marker=False)
        if not id_bytes or not length_bytes:
            return torn("the file ends before the Matroska segment begins")
        body = offset + id_bytes + length_bytes
        if element == _SEGMENT:
            return _segment(source, body, length)
        if (count and element not in _FILLERS) or length is None:
            return UNKNOWN
        offset = body + length
    return UNKNOWN


def _segment(source: BoundedReader, body: int, length: int | None) -> Structure:
    if not length:  # mkvmerge says 0 until it is done, others "unknown"
        return incomplete(torn("the Matroska segment has no size yet").why + _LIVE)
    if body + length > source.size:
        return torn(f"the Matroska segment needs {body + length} bytes, the file has {source.size}")
    return complete(body + length, matroska_media.facts(source, body, body + length))

"""MKV and WebM: the segment's size is known only once the writer has finished."""

from __future__ import annotations

from .base import UNKNOWN, BoundedReader, Structure, complete, incomplete, torn

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
        element, id_bytes = _number(head, keep_marker=True)
        length, length_bytes = _number(head[id_bytes:], keep_marker=False)
        if not id_bytes or not length_bytes:
            return torn("the file ends before the Matroska segment begins")
        body = offset + id_bytes + length_bytes
        if element == _SEGMENT:
            return _segment(body, length, source.size)
        if (count and element not in _FILLERS) or length is None:
            return UNKNOWN
        offset = body + length
    return UNKNOWN


def _segment(body: int, length: int | None, size: int) -> Structure:
    if not length:  # mkvmerge says 0 until it is done, others "unknown"
        return incomplete(torn("the Matroska segment has no size yet").why + _LIVE)
    if body + length > size:
        return torn(f"the Matroska segment needs {body + length} bytes, the file has {size}")
    return complete(body + length)


def _number(data: bytes, *, keep_marker: bool) -> tuple[int | None, int]:
    """Return a variable-length number (None: "unknown", all ones) and its bytes (0: cut off or broken)."""
    if not data or not data[0]:
        return None, 0
    width = 9 - data[0].bit_length()
    if len(data) < width:
        return None, 0
    raw = int.from_bytes(data[:width])
    if keep_marker:
        return raw, width
    bits = 7 * width
    value = raw & ((1 << bits) - 1)
    return (None if value == (1 << bits) - 1 else value), width

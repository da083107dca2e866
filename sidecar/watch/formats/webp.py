"""WebP: the RIFF size is 0 until the writer is done, and then says where the picture ends."""

from __future__ import annotations

from sidecar.core.media_facts import MediaFacts, plausible

from .base import UNKNOWN, BoundedReader, Structure, complete, torn

_HEADER_BYTES = 12  # RIFF, size, WEBP
_CHUNK_BYTES = 8  # kind, size
_HEAD_BYTES = 30  # as far as the first chunk says how large the picture is
_SIDE = 0x3FFF  # 14 bits


def looks_like(head: bytes, *, named_so: bool) -> bool:
    """Tell by the first 12 bytes, or by as many as there are."""
    return head[:4] == b"RIFF" and (head[8:12] == b"WEBP" or (named_so and len(head) < _HEADER_BYTES))


def judge(source: BoundedReader, start: int) -> Structure:
    """Compare the RIFF size with the file's."""
    head = source.at(start, _HEAD_BYTES)
    end = start + 8 + int.from_bytes(head[4:8], "little")
    if end < start + _HEADER_BYTES + _CHUNK_BYTES:
        return torn("the WebP has no size yet")
    if end <= source.size:
        return complete(end, _size(head))
    if end == source.size + 1 and _pads_to(source, start) == end:
        return UNKNOWN  # all that is missing is the byte that makes the last chunk's size even
    return torn(f"the WebP needs {end} bytes, the file has {source.size}")


def _size(head: bytes) -> MediaFacts | None:
    """Read the canvas of an extended file, else the only picture's own header."""
    kind, body = head[12:16], head[20:]
    match kind:
        case b"VP8X":
            width, height = (int.from_bytes(body[at : at + 3], "little") + 1 for at in (4, 7))
        case b"VP8L":
            bits = int.from_bytes(body[1:5], "little")
            width, height = (bits & _SIDE) + 1, (bits >> 14 & _SIDE) + 1
        case b"VP8 ":
            width, height = (int.from_bytes(body[at : at + 2], "little") & _SIDE for at in (6, 8))
        case _:
            return None
    return plausible(width=width, height=height)


def _pads_to(source: BoundedReader, start: int) -> int:
    """Return where the last chunk's padding ends, 0 if that chunk has none."""
    offset, size = start + _HEADER_BYTES, 0
    while offset < source.size:
        size = int.from_bytes(source.at(offset + 4, 4), "little")
        offset += _CHUNK_BYTES + size + size % 2
    return offset if size % 2 else 0

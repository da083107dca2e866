"""WebP: the RIFF size is 0 until the writer is done, and then says where the picture ends."""

from __future__ import annotations

from .base import UNKNOWN, BoundedReader, Structure, complete, torn

_HEADER_BYTES = 12  # RIFF, size, WEBP
_CHUNK_BYTES = 8  # kind, size


def looks_like(head: bytes, *, named_so: bool) -> bool:
    """Tell by the first 12 bytes, or by as many as there are."""
    return head[:4] == b"RIFF" and (head[8:12] == b"WEBP" or (named_so and len(head) < _HEADER_BYTES))


def judge(source: BoundedReader, start: int) -> Structure:
    """Compare the RIFF size with the file's."""
    end = start + 8 + int.from_bytes(source.at(start + 4, 4), "little")
    if end < start + _HEADER_BYTES + _CHUNK_BYTES:
        return torn("the WebP has no size yet")
    if end <= source.size:
        return complete(end)
    if end == source.size + 1 and _pads_to(source, start) == end:
        return UNKNOWN  # all that is missing is the byte that makes the last chunk's size even
    return torn(f"the WebP needs {end} bytes, the file has {source.size}")


def _pads_to(source: BoundedReader, start: int) -> int:
    """Return where the last chunk's padding ends, 0 if that chunk has none."""
    offset, size = start + _HEADER_BYTES, 0
    while offset < source.size:
        size = int.from_bytes(source.at(offset + 4, 4), "little")
        offset += _CHUNK_BYTES + size + size % 2
    return offset if size % 2 else 0

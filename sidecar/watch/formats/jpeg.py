"""JPEG: walks from marker to marker, through segments and scans, to the end mark of the first picture.

The walk goes forward, at 1.8 GB/s. Backwards no bound would serve both a thumbnail's own end mark and
padding of any length. What follows the end mark belongs to somebody else (padding, a film, another tool's
trailer), unless the picture's own index counts it in.
"""

from __future__ import annotations

import re

from sidecar.core.media_facts import plausible

from . import jpeg_multipicture
from .base import UNKNOWN, BoundedReader, Structure, complete, torn

MAGIC = b"\xff\xd8\xff"
# In a scan FF is followed by 00, by a restart mark, or in JPEG-LS by less than 80; fill bytes are FF.
_MARKER = re.compile(rb"\xff([\xc0-\xcf\xd8-\xfe])")
_START, _END, _SCAN, _APP2 = 0xD8, 0xD9, 0xDA, 0xE2
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xF7}  # headers of frames; F7: JPEG-LS
_SAMSUNG = b"SEFT"
_NEAR_BYTES, _FAR_BYTES = 4, 64 * 1024


def judge(source: BoundedReader, start: int) -> Structure:
    """Walk to the end mark; junk between segments is passed over, as every decoder does."""
    offset, depth, has_scan, indexed_end, media = start + 2, 1, False, 0, None
    while (found := _next_marker(source, offset)) is not None:
        marker, offset = found
        if marker in {_START, _END}:  # a thumbnail's own, where its segment was not seen to be one
            depth += 1 if marker == _START else -1
            if depth:
                continue
            # Without a scan these are tables for other pictures. An index that counts in what is not there
            # is what a tool leaves that drops the other pictures, or a writer that was killed: it settles.
            return complete(offset, media) if has_scan and indexed_end <= source.size else UNKNOWN
        head = source.at(offset, 7)
        length = head[:2]
        if marker in _FRAMES and depth == 1:
            media = plausible(width=int.from_bytes(head[5:7]), height=int.from_bytes(head[3:5]))
        if marker == _APP2:
            indexed_end = max(
                indexed_end, jpeg_multipicture.end(source, offset + 2, int.from_bytes(length) - 2)
            )
        has_scan |= marker == _SCAN
        offset += max(2, int.from_bytes(length))
    if source.at(max(0, source.size - len(_SAMSUNG)), len(_SAMSUNG)) == _SAMSUNG:
        return UNKNOWN  # its panoramas have no end mark, but this behind them
    return torn("the JPEG has no end mark" if has_scan else "the JPEG ends before its picture begins")


def _next_marker(source: BoundedReader, offset: int) -> tuple[int, int] | None:
    """Return the next marker at or behind ``offset`` and where it ends."""
    length = _NEAR_BYTES  # mostly it is here; only a scan is long
    while block := source.at(offset, length):
        if match := _MARKER.search(block):
            return block[match.end() - 1], offset + match.end()
        offset += max(1, len(block) - 1)  # the last byte may be the first half of a marker
        length = _FAR_BYTES
    return None

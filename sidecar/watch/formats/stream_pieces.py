"""Tells pieces of HLS and DASH streams from films, by name and by content.

A muxer writes a segment before the playlist that names it, so nothing but the segment itself can tell. By
content these are pieces: fragments without their header, a header without fragments, a film that was made
for byte ranges, and a WebM cluster. Blocking.
"""

from __future__ import annotations

import os

from sidecar.core import media
from sidecar.core.model import Piece

from . import mp4
from .base import BoundedReader, TooMuchWorkError
from .mp4_boxes import Box, boxes

_BOXES_MAX = 64  # what tells stands in the first few
_BRANDS_BYTES_MAX = 256
_BRANDS = frozenset({b"dash", b"msdh", b"msix", b"cmfc", b"cmf2", b"cmfs", b"cmff", b"cmfl"})
_CLUSTER = b"\x1f\x43\xb6\x75"  # Matroska's: a WebM segment has nothing before it


def piece_of(fd: int, name: str, data: bytes | None = None, *, is_one_film: bool = False) -> Piece:
    """Judge a complete file that is open; ``data`` is all of it, where it was read. Raises OSError.

    ``is_one_film``: its structure showed that it is an MP4 without fragments, and nothing else.
    """
    is_segment = media.is_segment(name)
    if is_segment and (extension := media.extension(name)) in media.SEGMENTS:
        return Piece.FRAGMENT if extension == "m4s" else Piece.CHUNK
    found = Piece.NONE if is_one_film else by_content(fd, data)
    return Piece.CHUNK if is_segment and found is Piece.NONE else found


def by_content(fd: int, data: bytes | None = None) -> Piece:
    """Look at the first boxes of what may be an MP4, and at the first element of a WebM."""
    size = os.fstat(fd).st_size if data is None else len(data)
    source = BoundedReader(fd=fd, size=size, data=data)
    head = source.at(0, 16)
    if head.startswith(_CLUSTER):
        return Piece.FRAGMENT
    if not mp4.looks_like(head, named_so=True):
        return Piece.NONE
    try:
        return _by_boxes(source)
    except TooMuchWorkError:
        return Piece.NONE


def _by_boxes(source: BoundedReader) -> Piece:
    kinds, is_made_for_ranges, is_fragmented = set[bytes](), False, False
    for number, box in enumerate(boxes(source, 0, source.size)):
        if number == _BOXES_MAX:
            break
        kinds.add(box.kind)
        if box.kind in {b"ftyp", b"styp"}:
            is_made_for_ranges |= bool(_brands(source, box) & _BRANDS)
        elif box.kind == b"moov" and box.end is not None:
            is_fragmented = any(child.kind == b"mvex" for child in boxes(source, box.body, box.end))
    if b"moof" in kinds and b"moov" not in kinds:
        return Piece.FRAGMENT
    if is_fragmented and not kinds & {b"moof", b"mdat"}:
        return Piece.FRAGMENT  # an initialization segment
    return Piece.CHUNK if is_fragmented and (is_made_for_ranges or b"sidx" in kinds) else Piece.NONE


def _brands(source: BoundedReader, box: Box) -> set[bytes]:
    end = min(box.end or 0, box.body + _BRANDS_BYTES_MAX)
    content = source.at(box.body, max(0, end - box.body))
    return {content[:4], *(content[at : at + 4] for at in range(8, len(content), 4))}

"""Judges by content whether a file is whole: complete, incomplete, or not a format that can tell.

Each reader finds where its format *ends*; what stands behind that is nobody's fault. Reads are by position
and bounded for all readers together (``base.BoundedReader``: 65,536 reads, 64 MiB); a file that asks for more
settles, as does what a format cannot tell. These are the formats:

- JPEG (``jpeg.py``) ends with the end mark that a forward walk meets. An index of pictures that counts in
  what is not there settles.
- PNG (``png.py``) ends with IEND. A file of more chunks than may be read settles: 512 MiB in 8 KiB each.
- WebP (``webp.py``) ends where its RIFF size says. A size that counts a padding byte which is not there
  settles.
- MP4, MOV and AVIF (``mp4.py``) need whole boxes: an index (`moov`, or `meta` with `iloc`) and its media. An
  `mdat` of size 0 behind `moov` settles, and so does a box of no importance that is cut off.
- An MP4 of fragments ends with `mfra`, or in a segment with what its `sidx` counts. Fragments without either
  settle, also when they are cut between two; so does an initialization segment, which is what a recorder
  leaves that was killed before its first fragment.
- MKV and WebM (``matroska.py``) end where the segment's size says, neither unknown nor 0. Another element
  before the segment settles.
- JSON (``json_text.py``) is whole if the text parses, NULs and white space aside. Above 1 MiB it settles if
  it ends with its bracket; several documents and scalars settle, too.
- Random bytes under any name, and formats without an end mark (ts, vtt, srt, py) settle.

Where one format ends and a known one begins, that one is judged as well. If it is whole, all is complete; if
it is torn, the file settles, for it may be anything's remains. A trailer that no reader knows is passed
over, so a Samsung's film may be cut unseen. Two more cuts are not seen: media that lies in a faststart
film's second `mdat` when the cut is exactly before it, and a cut in the middle that was filled with zeros,
in formats that say their size at the front.

On the way the readers take along what a player wants to know of a film or picture (``mp4_media.py``,
``matroska_media.py``): that decides nothing, and reads a bounded part of an index.

A file that shows no format under a name that promises one is judged by its size (``minimum_size.py``), also
where the rule says ``structure: off``.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace

from . import jpeg, json_text, matroska, mp4, png, sparse, webp
from .base import COMPLETE, UNKNOWN, BoundedReader, Completeness, Structure, TooMuchWorkError
from .minimum_size import by_size

HEAD_BYTES = 16
Reader = Callable[[BoundedReader, int], Structure]


def judge(fd: int, name: str, data: bytes | None = None) -> Structure:
    """Return the structure of an open file; ``name`` decides only where the first bytes cannot.

    ``data`` is all of it, where it was read already.
    """
    if data is not None:
        size = len(data)
    elif sparse.is_hollow(fd, found := os.fstat(fd)):
        return sparse.HOLLOW
    else:
        size = found.st_size
    stem, dot, end = name.rpartition(".")
    extension = dot + end.lower() if stem else ""
    try:
        answer = _streams(BoundedReader(fd=fd, size=size, data=data), extension)
    except TooMuchWorkError:
        return UNKNOWN
    if answer.completeness is not Completeness.UNKNOWN:
        return answer
    return replace(by_size(size, name), media=answer.media)


def _streams(source: BoundedReader, extension: str) -> Structure:
    """Judge what stands at the front, then whatever known format begins where that ends."""
    end, media = 0, None
    while (reader := _reader(source.at(end, HEAD_BYTES), extension)) is not None:
        answer = reader(source, end)
        if answer.completeness is not Completeness.COMPLETE:
            return replace(UNKNOWN, media=media) if end else answer
        if end == 0 and answer.end >= source.size:
            return answer  # as of nearly every file
        media = answer.media if end == 0 else media
        end, extension = answer.end, ""
    return replace(COMPLETE, media=media) if end else UNKNOWN


def _reader(head: bytes, extension: str) -> Reader | None:
    if mp4.looks_like(head, named_so=extension in mp4.NAMES):
        return mp4.judge
    if head.startswith(matroska.MAGIC):
        return matroska.judge
    if head.startswith(png.MAGIC):
        return png.judge
    if head.startswith(jpeg.MAGIC):
        return jpeg.judge
    if webp.looks_like(head, named_so=extension == ".webp"):
        return webp.judge
    return json_text.judge if extension == ".json" else None

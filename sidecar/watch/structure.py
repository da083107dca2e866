"""Judge by content whether a file is whole: complete, incomplete, or not a format that can tell.

Work is bounded and reads are by position; the file is never loaded. Random bytes under any name, and
formats without an end mark (ts, vtt, srt, py) are UNKNOWN and settle. So does a file in which a whole
picture or film is followed by another one that stops: the second may be anything's remains.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import PurePosixPath

from . import holes, jpeg, jsontext, matroska, mp4, png, webp
from .form import COMPLETE, UNKNOWN, Shape, Source, Structure, TooMuchWorkError
from .smallest import by_size

HEAD_BYTES = 16
Reader = Callable[[Source, int], Structure]


def judge(fd: int, name: str) -> Structure:
    """Return the structure of an open file; ``name`` decides only where the first bytes cannot."""
    found = os.fstat(fd)
    if holes.is_hollow(fd, found):
        return holes.HOLLOW
    extension = PurePosixPath(name).suffix.lower()
    try:
        answer = _streams(Source(fd=fd, size=found.st_size), extension)
    except TooMuchWorkError:
        return UNKNOWN
    return answer if answer.shape is not Shape.UNKNOWN else by_size(found.st_size, name)


def _streams(source: Source, extension: str) -> Structure:
    """Judge what stands at the front, then whatever known format begins where that ends."""
    end = 0
    while (reader := _reader(source.at(end, HEAD_BYTES), extension)) is not None:
        answer = reader(source, end)
        if answer.shape is not Shape.COMPLETE:
            return UNKNOWN if end else answer
        end, extension = answer.end, ""
    return COMPLETE if end else UNKNOWN


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
    return jsontext.judge if extension == ".json" else None

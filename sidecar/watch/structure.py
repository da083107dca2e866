"""Judge by content whether a file is whole: complete, incomplete, or not a format that can tell.

Work is bounded and reads are by position; the file is never loaded. Anything under 8 bytes, random
bytes under any name, and formats without an end mark (ts, vtt, srt, py) are UNKNOWN and settle.
"""

from __future__ import annotations

import os
from pathlib import PurePosixPath

from . import holes, images, jsontext, matroska, mp4
from .form import UNKNOWN, Structure, read_at

HEAD_BYTES = 16
SIZE_BYTES_MIN = 8
_MP4_NAMES = frozenset({".mp4", ".mov", ".m4v", ".m4a", ".m4s"})


def judge(fd: int, name: str) -> Structure:
    """Return the structure of an open file; ``name`` decides only where the first bytes cannot."""
    found = os.fstat(fd)
    size_bytes = found.st_size
    if holes.is_hollow(fd, found):
        return holes.HOLLOW
    head = read_at(fd, 0, HEAD_BYTES)
    if size_bytes < SIZE_BYTES_MIN or len(head) < SIZE_BYTES_MIN:
        return UNKNOWN
    return _by_content(fd, size_bytes, head, PurePosixPath(name).suffix.lower())


def _by_content(fd: int, size_bytes: int, head: bytes, extension: str) -> Structure:
    if mp4.looks_like(head, named_so=extension in _MP4_NAMES):
        return mp4.judge(fd, size_bytes)
    if head.startswith(matroska.MAGIC):
        return matroska.judge(fd, size_bytes)
    if head.startswith(images.PNG_MAGIC):
        return images.judge_png(fd, size_bytes)
    if head.startswith(images.JPEG_MAGIC):
        return images.judge_jpeg(fd, size_bytes)
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return images.judge_webp(fd, size_bytes)
    return jsontext.judge(fd, size_bytes) if extension == ".json" else UNKNOWN

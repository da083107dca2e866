"""The files: whole MP4s and PNGs by their structure, every one with other bytes, laid out as a lesson is."""

from __future__ import annotations

import itertools
import os
import struct
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from .rows import MIB, Row

OF_A_SCENE = 100
PROJECT, LESSON = "demo", "lesson"
_FTYP = struct.pack(">I4s4sI", 16, b"ftyp", b"isom", 512)
_MOOV = struct.pack(">I4sI4s100x", 116, b"moov", 108, b"mvhd")
_MDAT_BYTES = 16  # a box header with a 64-bit size
_PNG = b"\x89PNG\r\n\x1a\n"
_IHDR, _IEND = b"\0\0\0\x01\0\0\0\x01\x08\0\0\0\0", b"IEND"
_numbers = itertools.count(1)
_NOISE = os.urandom(MIB)


def plant(root: Path, row: Row) -> None:
    """Write a row's files below a root: chunks of scenes of one session."""
    for n in range(row.files):
        path = root / place(n, "video", "mp4")
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb", buffering=0) as file:
            for piece in film(row.file_bytes):
                file.write(piece)


def place(n: int, folder: str, extension: str, *, session: str = LESSON) -> str:
    """Return the n-th file's path below the root."""
    scene, number = divmod(n, OF_A_SCENE)
    return f"{PROJECT}/{session}/scene_{scene:04}/{folder}/chunk_{number:03}.{extension}"


def known_as(path: Path) -> str:
    """Return by what name the stub of Convex knows the asset of a path."""
    project, session, scene, _, name = path.parts[-5:]
    return f"{project}/{session}/{scene}/{name}"


def film(size: int) -> Iterator[bytes]:
    """Yield the pieces of an MP4 whose index comes first. The smallest has 148 bytes."""
    media = size - len(_FTYP) - len(_MOOV)
    yield _FTYP + _MOOV + struct.pack(">I4sQ", 1, b"mdat", media)
    yield from _media(media - _MDAT_BYTES)


def thumbnail(size: int) -> bytes:
    """Return a PNG."""
    head = _PNG + _chunk(b"IHDR" + _IHDR)
    end = _chunk(_IEND)
    filler = b"".join(_media(size - len(head) - len(end) - 12))
    return head + _chunk(b"IDAT" + filler) + end


def render(path: Path, size: int, *, bytes_per_second: float, sleep: Callable[[float], None]) -> int:
    """Write an MP4 as ffmpeg does, at a pace: the index comes last, then the media's size is filled in.

    Returns when it was closed, in ns of the monotonic clock.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    media = size - len(_FTYP) - len(_MOOV)
    began, written = time.monotonic(), 0
    with path.open("wb", buffering=0) as file:
        file.write(_FTYP + struct.pack(">I4sQ", 1, b"mdat", 0))
        for piece in _media(media - _MDAT_BYTES):
            file.write(piece)
            written += len(piece)
            sleep(max(0.0, began + written / bytes_per_second - time.monotonic()))
        file.write(_MOOV)
        file.seek(len(_FTYP))
        file.write(struct.pack(">I4sQ", 1, b"mdat", media))
    return time.monotonic_ns()


def _media(size: int) -> Iterator[bytes]:
    """Yield noise with a number in each piece that no other file has."""
    mark, left = struct.pack(">QQ", next(_numbers), time.time_ns()), size
    for n in itertools.count():
        if left <= 0:
            return
        piece = mark + struct.pack(">Q", n) + _NOISE[: MIB - len(mark) - 8]
        yield piece[:left]
        left -= len(piece)


def _chunk(content: bytes) -> bytes:
    return struct.pack(">I", len(content) - 4) + content + struct.pack(">I", zlib.crc32(content))

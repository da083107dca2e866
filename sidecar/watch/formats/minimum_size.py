"""Says how small a whole file can be under a name whose format has an end mark.

A killed encoder leaves an empty file, or a few bytes that show no format yet. What shows its format is
judged by that, however small. What shows none and is shorter than this is incomplete, also with ``structure:
off``; larger nonsense settles.
"""

from __future__ import annotations

from pathlib import PurePosixPath

from .base import UNKNOWN, Structure, torn

_FILM = 16 + (8 + 108) + 8  # ftyp with one brand, moov with its mvhd, mdat
_SEGMENT = 8 + 16 + (8 + 16) + 8  # moof with mfhd, traf and its tfhd; mdat
_MATROSKA = 75  # EBML header, Info, one track, one block of one byte, each with what its schema demands
_JPEG = 107  # arithmetic coding; with Huffman tables the smallest that is decoded has 125
_PNG = 8 + 25 + (12 + 10) + 12  # signature, IHDR, one pixel deflated, IEND
_WEBP = 12 + 8 + 6  # RIFF header, one chunk of lossless coding
_PICTURE = 16 + (12 + 33 + 14) + 8  # ftyp, meta with hdlr and pitm, mdat
_JSON = 1  # a digit

BYTES = {
    **dict.fromkeys((".mp4", ".m4v", ".mov", ".m4a"), _FILM),
    ".m4s": _SEGMENT,
    **dict.fromkeys((".mkv", ".webm"), _MATROSKA),
    **dict.fromkeys((".jpg", ".jpeg"), _JPEG),
    **dict.fromkeys((".png", ".apng"), _PNG),
    ".webp": _WEBP,
    **dict.fromkeys((".avif", ".heic"), _PICTURE),
    ".json": _JSON,
}


def by_size(size_bytes: int, name: str) -> Structure:
    """Judge by name and size alone: too small for the name's format, or nothing is known."""
    extension = PurePosixPath(name).suffix.lower()
    if size_bytes < BYTES.get(extension, 0):
        return torn(f"{size_bytes} bytes are too few for a whole {extension} file")
    return UNKNOWN

"""PNG: chunks up to IEND. What follows that belongs to somebody else."""

from __future__ import annotations

from sidecar.core.media_facts import plausible

from .base import BoundedReader, Structure, complete, torn

MAGIC = b"\x89PNG\r\n\x1a\n"
_SIZE = slice(8, 16)  # of IHDR, the first chunk
_IEND = b"\x00\x00\x00\x00IEND\xae\x42\x60\x82"


def judge(source: BoundedReader, start: int) -> Structure:
    """Look for IEND at the end of the file, else walk the chunks to it."""
    size = source.at(start + len(MAGIC), _SIZE.stop)
    media = plausible(width=int.from_bytes(size[_SIZE][:4]), height=int.from_bytes(size[_SIZE][4:]))
    if source.at(max(0, source.size - len(_IEND)), len(_IEND)) == _IEND:
        return complete(source.size, media)
    offset = start + len(MAGIC)
    while True:
        head = source.at(offset, 8)
        end = offset + 12 + int.from_bytes(head[:4])
        if end > source.size or not head[4:8].isalpha():
            return torn("the PNG has no IEND chunk")
        if head[4:8] == b"IEND":
            return complete(end, media)
        offset = end

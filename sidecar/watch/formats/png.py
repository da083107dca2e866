"""PNG: chunks up to IEND. What follows that belongs to somebody else."""

from __future__ import annotations

from .base import BoundedReader, Structure, complete, torn

MAGIC = b"\x89PNG\r\n\x1a\n"
_IEND = b"\x00\x00\x00\x00IEND\xae\x42\x60\x82"


def judge(source: BoundedReader, start: int) -> Structure:
    """Look for IEND at the end of the file, else walk the chunks to it."""
    if source.at(max(0, source.size - len(_IEND)), len(_IEND)) == _IEND:
        return complete(source.size)
    offset = start + len(MAGIC)
    while True:
        head = source.at(offset, 8)
        end = offset + 12 + int.from_bytes(head[:4])
        if end > source.size or not head[4:8].isalpha():
            return torn("the PNG has no IEND chunk")
        if head[4:8] == b"IEND":
            return complete(end)
        offset = end

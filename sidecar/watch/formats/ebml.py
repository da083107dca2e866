"""The numbers of EBML, of which Matroska is made."""

from __future__ import annotations


def number(data: bytes, *, keep_marker: bool) -> tuple[int | None, int]:
    """Return a variable-length number (None: "unknown", all ones) and its bytes (0: cut off or broken)."""
    if not data or not data[0]:
        return None, 0
    width = 9 - data[0].bit_length()
    if len(data) < width:
        return None, 0
    raw = int.from_bytes(data[:width])
    if keep_marker:
        return raw, width
    bits = 7 * width
    value = raw & ((1 << bits) - 1)
    return (None if value == (1 << bits) - 1 else value), width

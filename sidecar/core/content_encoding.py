"""Unpacks bodies that came packed although nobody asked for it, as some fronts do, within a bound."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

_AS_IT_IS = frozenset({"", "identity", "aws-chunked"})
_WINDOWS: Mapping[str, tuple[int, ...]] = {
    "gzip": (31,),
    "x-gzip": (31,),
    "deflate": (15, -15),  # zlib's, as the standard says, or bare, as many send it
}


def unpacked(body: bytes, encoding: str, *, bytes_max: int) -> bytes:
    """Return a body without its Content-Encoding. Raises ValueError: damaged, unknown, or too much."""
    if not body:
        return body
    for name in reversed([name.strip().lower() for name in encoding.split(",")]):
        if name in _AS_IT_IS:
            continue
        if name not in _WINDOWS:
            raise ValueError(f"the answer is packed as {name[:40]!r}, which nobody asked for")
        body = _unpacked(body, _WINDOWS[name], bytes_max=bytes_max)
    return body


def _unpacked(body: bytes, windows: tuple[int, ...], *, bytes_max: int) -> bytes:
    window, *others = windows
    unpacker = zlib.decompressobj(window)
    try:
        plain = unpacker.decompress(body, bytes_max + 1)
    except zlib.error as error:
        if others:
            return _unpacked(body, tuple(others), bytes_max=bytes_max)
        raise ValueError("the answer is packed, and damaged") from error
    if len(plain) > bytes_max:
        raise ValueError(f"the answer unpacks to more than {bytes_max} bytes")
    if not unpacker.eof:
        raise ValueError("the answer is packed, and cut off")
    return plain

"""MP4 and MOV: walk the boxes. A `moov` box is needed, and media that lies wholly inside the file.

While ffmpeg writes, `mdat` says size 0 and `moov` is not there; `+faststart` moves everything at
the end, when the `moov` being written says size 0; fragments are boxes of known size, so the file
must end exactly where a box does. A writer that is killed leaves one of these behind.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from .form import COMPLETE, UNKNOWN, Structure, incomplete, read_at

BOXES_MAX = 65_536  # 18 hours of two-second fragments; a file with more settles
FIRST_BOXES = frozenset(
    {
        b"ftyp",
        b"styp",
        b"moov",
        b"mdat",
        b"free",
        b"skip",
        b"wide",
        b"pnot",
        b"sidx",
        b"moof",
        b"emsg",
        b"prft",
    }
)
_TORN = "its writer was killed or is not done"


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A box's header. ``end`` is None where the size field says "to the end of the file"."""

    kind: bytes
    start: int
    body: int
    end: int | None


@dataclass(slots=True)
class _Seen:
    """What the walk has met so far."""

    kinds: set[bytes] = field(default_factory=set)
    last: bytes = b""
    fragmented: bool = False


def looks_like(head: bytes, *, named_so: bool) -> bool:
    """Tell by the first 8 bytes; a file with the right extension may begin with any usual box."""
    return head[4:8] == b"ftyp" or (named_so and head[4:8] in FIRST_BOXES)


def judge(fd: int, size_bytes: int) -> Structure:
    """Say whether the file is whole; reads at most 16 bytes a box."""
    seen = _Seen()
    for count, box in enumerate(_boxes(fd, 0, size_bytes)):
        if count >= BOXES_MAX:
            return UNKNOWN
        if (answer := _meet(fd, box, seen, size_bytes)) is not None:
            return answer
    return _verdict(seen)


def _meet(fd: int, box: Box, seen: _Seen, size_bytes: int) -> Structure | None:
    """Take note of one box; an answer ends the walk."""
    name = box.kind.decode("latin-1")
    broken = not _plausible(box.kind) or (box.end is not None and box.end > size_bytes)
    if broken and {b"moov", b"mdat"} <= seen.kinds and not seen.fragmented:
        return UNKNOWN  # whole, with something behind it: padding, or another format's trailer
    if not _plausible(box.kind):
        return incomplete(f"the MP4 has no readable box at byte {box.start}: {_TORN}")
    if box.end is None:
        # Legal only as the last box; only finished media in front of its index is whole like that.
        return UNKNOWN if box.kind == b"mdat" and b"moov" in seen.kinds else _unsized(name)
    if box.end > size_bytes:
        return incomplete(f"the MP4's {name} box needs {box.end} bytes, the file has {size_bytes}: {_TORN}")
    if box.kind == b"moov":
        inner = {child.kind for child in _boxes(fd, box.body, box.end)}
        if b"mvhd" not in inner:
            return incomplete(f"the MP4's moov box is not filled in: {_TORN}")
        seen.fragmented = b"mvex" in inner
    seen.kinds.add(box.kind)
    seen.last = box.kind
    return None


def _verdict(seen: _Seen) -> Structure:
    if seen.last == b"moof":
        return incomplete(f"the MP4 ends with a fragment's header: {_TORN}")
    if b"moof" in seen.kinds and b"mdat" in seen.kinds and (seen.fragmented or b"moov" not in seen.kinds):
        return COMPLETE
    if b"moov" not in seen.kinds:
        return incomplete(f"the MP4 has no moov box: {_TORN}")
    if b"mdat" not in seen.kinds or seen.fragmented:
        return incomplete(f"the MP4 has no media after its header: {_TORN}")
    return COMPLETE


def _unsized(name: str) -> Structure:
    return incomplete(f"the MP4's {name} box has no size yet: {_TORN}")


def _plausible(kind: bytes) -> bool:
    return len(kind) == 4 and all(32 <= byte < 127 or byte == 0xA9 for byte in kind)  # noqa: PLR2004 - ASCII


def _boxes(fd: int, start: int, end: int) -> Iterator[Box]:
    """Yield headers until ``end`` or until one does not lead further; at most BOXES_MAX + 1."""
    for _ in range(BOXES_MAX + 1):
        if start >= end:
            return
        box = _box(fd, start)
        yield box
        if box.end is None or box.end <= start:
            return
        start = box.end


def _box(fd: int, start: int) -> Box:
    head = read_at(fd, start, 16)
    size, kind = int.from_bytes(head[:4]), head[4:8]
    if size == 1 and len(head) == 16:  # noqa: PLR2004 - the 64-bit form of a header
        return Box(kind=kind, start=start, body=start + 16, end=_end(start, int.from_bytes(head[8:16]), 16))
    if size == 0:
        return Box(kind=kind, start=start, body=start + 8, end=None)
    return Box(kind=kind, start=start, body=start + 8, end=_end(start, size, 8))


def _end(start: int, size: int, header: int) -> int:
    """Return where a box ends; an impossible size leads nowhere, beyond every file."""
    return start + size if size >= header else 1 << 63

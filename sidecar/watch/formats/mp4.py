"""MP4, MOV and their kin: walk the boxes. An index is needed, and media that lies wholly inside the file.

While ffmpeg writes, `mdat` says size 0 and `moov` is not there; `+faststart` moves everything at
the end, when the `moov` being written says size 0; fragments are boxes of known size, so the file
must end exactly where a box does. A writer that is killed leaves one of these behind.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from . import mp4_media
from .base import UNKNOWN, BoundedReader, Completeness, Structure, complete, made_structure, torn
from .mp4_boxes import Box, boxes, is_kind, referenced_end

NAMES = frozenset({".mp4", ".mov", ".m4v", ".m4a", ".m4s"})
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
        b"uuid",
        b"sidx",
        b"moof",
        b"emsg",
        b"prft",
    }
)
_LOOKED_INTO = frozenset({b"moov", b"moof", b"meta", b"sidx"})
_NEEDED = frozenset({b"moov", b"mdat", b"moof", b"mfra"})  # cut off, they are missed
_FILLED_IN = frozenset({b"mvhd", b"cmov"})  # a movie's header, as it is or compressed
_HEADER_BYTES = 8


@dataclass(slots=True)
class _WalkState:
    """What the walk has met so far."""

    kinds: set[bytes] = field(default_factory=set)
    last: bytes = b""
    fragmented: bool = False  # as the last index says
    has_fragments: bool = False  # or one of them says so
    refers: bool = False  # its media is in other files
    pictures: bool = False  # HEIF, AVIF: an index of items, and no film
    referenced_end: int = 0
    movie: Box | None = None
    fragments: list[Box] = field(default_factory=list)  # the first, and the last


def looks_like(head: bytes, *, named_so: bool) -> bool:
    """Tell by the first 8 bytes; a file with the right extension may begin with any usual box."""
    return head[4:8] == b"ftyp" or (named_so and head[4:8] in FIRST_BOXES)


def judge(source: BoundedReader, start: int) -> Structure:
    """Say whether the film is whole, and what its index tells; reads at most 16 bytes a box, and indexes."""
    seen = _WalkState()
    answer = _walk(source, start, seen)
    if answer.completeness is Completeness.INCOMPLETE or seen.movie is None:
        return answer
    is_all = answer.completeness is Completeness.COMPLETE and start == 0 and answer.end == source.size
    media = mp4_media.facts(source, seen.movie, seen.fragments)
    return made_structure(answer.completeness, "", answer.end, media, is_all and not seen.has_fragments)


def _walk(source: BoundedReader, start: int, seen: _WalkState) -> Structure:
    for box in boxes(source, start, source.size):
        if (
            box.kind == b"ftyp"
            and seen.kinds
            and (whole := _verdict(seen, box.start)).completeness is not Completeness.INCOMPLETE
        ):
            return whole  # the next film begins
        if (answer := _meet(source, box, seen)) is not None:
            return answer
    return _verdict(seen, source.size)


def _meet(source: BoundedReader, box: Box, seen: _WalkState) -> Structure | None:
    """Take note of one box; an answer ends the walk."""
    if not (box.kind in FIRST_BOXES or is_kind(box.kind)) or (box.end is not None and box.end > source.size):
        return _broken(source, box, seen)
    if box.end is None:
        return _unsized(source, box, seen)
    if box.kind in _LOOKED_INTO and not _look_into(source, box, box.end, seen):
        return None if b"moov" in seen.kinds else torn("the MP4's moov box is not filled in")
    seen.kinds.add(box.kind)
    seen.last = box.kind
    return None


def _look_into(source: BoundedReader, box: Box, end: int, seen: _WalkState) -> bool:
    """Remember what matters in a whole box. False for an index that is not filled in."""
    if box.kind == b"moov":
        inner = {child.kind for child in boxes(source, box.body, end)}
        seen.fragmented, seen.refers = b"mvex" in inner, b"rmra" in inner
        seen.has_fragments |= seen.fragmented
        if not (seen.refers or inner & _FILLED_IN):
            return False
        seen.movie = box
    elif box.kind == b"moof":
        seen.fragments[1:], seen.has_fragments = [box], True  # behind the first, if there is one
    elif box.kind == b"meta":  # version and flags stand before its boxes
        inner = {child.kind for child in boxes(source, box.body + 4, end)}
        seen.pictures |= b"iloc" in inner
        seen.kinds |= inner & {b"idat"}
    elif box.kind == b"sidx":
        seen.referenced_end = max(seen.referenced_end, referenced_end(source, box.body, end))
    return True


def _broken(source: BoundedReader, box: Box, seen: _WalkState) -> Structure:
    """Tell a box that was cut off from what stands behind a whole film: padding, another format's trailer."""
    whole = _verdict(seen, box.start)
    if is_kind(box.kind):
        is_missed = box.kind in (
            _NEEDED if whole.completeness is Completeness.COMPLETE else _NEEDED | FIRST_BOXES
        )
        return _cut(source, box) if is_missed or whole.completeness is Completeness.INCOMPLETE else UNKNOWN
    rest = source.at(box.start, _HEADER_BYTES)
    is_half_header = len(rest) < _HEADER_BYTES and any(rest)
    if whole.completeness is Completeness.INCOMPLETE or (
        is_half_header and whole.completeness is Completeness.UNKNOWN
    ):
        return torn(f"the MP4 has no readable box at byte {box.start}")
    return whole


def _cut(source: BoundedReader, box: Box) -> Structure:
    return torn(f"the MP4's {_name(box)} box needs {box.end} bytes, the file has {source.size}")


def _unsized(source: BoundedReader, box: Box, seen: _WalkState) -> Structure:
    """Judge a box of size 0: it reaches to the end of the file, or is not written yet."""
    if box.kind == b"mdat" and b"moov" in seen.kinds:
        return UNKNOWN  # only finished media behind its index is whole like that, and nothing says so
    if box.kind in _NEEDED or _verdict(seen, box.start).completeness is Completeness.INCOMPLETE:
        return torn(f"the MP4's {_name(box)} box has no size yet")
    return _verdict(seen, source.size)


def _verdict(seen: _WalkState, end: int) -> Structure:
    """Judge by the whole boxes up to ``end``."""
    if seen.last == b"moof":
        return torn("the MP4 ends with a fragment's header")
    if b"moof" in seen.kinds or seen.fragmented:
        return _fragments(seen, end)
    if b"moov" not in seen.kinds and not seen.pictures:
        return torn("the MP4 has no moov box")
    if not seen.refers and not seen.kinds & {b"mdat", b"idat"}:
        return torn("the MP4 has no media after its header")
    return complete(end)


def _fragments(seen: _WalkState, end: int) -> Structure:
    """Judge whole fragments. An index behind them, or before those of one segment, says that none is missing.

    Without one nothing does. A header alone is a stream's initialization segment, or was a killed writer's.
    """
    is_segment = b"moof" in seen.kinds and b"moov" not in seen.kinds
    if b"mfra" in seen.kinds or (is_segment and seen.referenced_end == end):
        return complete(end)
    return UNKNOWN


def _name(box: Box) -> str:
    return box.kind.decode("latin-1")

"""What the boxes of a film tell of it: how long it is, how large, how fast, made by which codec.

A film's index says so; of one in fragments the first and the last fragment say how long it is. Nothing here
judges a file: what cannot be read, or would cost too much, is not told.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sidecar.core.media_facts import MediaFacts, plausible

from .base import BoundedReader, Source, TooMuchWorkError, Window
from .mp4_boxes import Box, boxes
from .mp4_codecs import codec_of

_INDEX_BYTES = 64 * 1024  # of an index are read at once: all of one of a film of minutes
_LEAF_BYTES, _HEAD_BYTES = 64 * 1024, 16
_READS_MAX, _READ_BYTES_MAX = 1_000, 2 * 1024 * 1024
_UNKNOWN_32 = 0xFFFFFFFF
_PICTURES = frozenset({b"vide", b"pict"})  # films, and moving AVIF
_WIDE = 1  # the version of boxes whose times have 64 bits
_HAS_BASE, _HAS_DESCRIPTION, _HAS_DURATION = 0x1, 0x2, 0x8  # flags of tfhd
_HAS_OFFSET, _HAS_FIRST, _PER_SAMPLE_DURATION, _PER_SAMPLE = 0x1, 0x4, 0x100, 0xF00  # flags of trun


@dataclass(slots=True)
class _Track:
    """A track as its `trak` box has it; times in units of ``scale`` to the second."""

    number: int = 0
    kind: bytes = b""
    is_turned: bool = False
    scale: int = 0
    width: int = 0
    height: int = 0
    codec: str | None = None
    samples: int = 0
    samples_time: int = 0
    default_time: int = 0  # of a sample of a fragment
    begin: int | None = None  # of its fragments
    end: int | None = None


def facts(reader: BoundedReader, movie: Box, fragments: Sequence[Box]) -> MediaFacts | None:
    """Return what ``movie`` (a whole `moov`) and the first and last `moof` tell."""
    bounded = BoundedReader(
        fd=reader.fd,
        size=reader.size,
        data=reader.data,
        reads_max=_READS_MAX,
        read_bytes_max=_READ_BYTES_MAX,
    )
    try:
        return _facts(bounded, movie, fragments)
    except (TooMuchWorkError, OSError):
        return None


def _facts(reader: BoundedReader, movie: Box, fragments: Sequence[Box]) -> MediaFacts | None:
    index_bytes = (movie.end or reader.size) - movie.body + _HEAD_BYTES  # the last box's head is read as any
    source = Window.of(reader, movie.body, min(index_bytes, _INDEX_BYTES))
    seconds, tracks = _movie(source, movie)
    by_number = {track.number: track for track in tracks} if fragments else {}
    for fragment in fragments:
        inside = Window.of(reader, fragment.body, _INDEX_BYTES)
        for traf in _children(inside, fragment, b"traf"):
            _add_fragment(inside, traf, by_number)
    shown = heard = None
    for track in reversed(tracks):  # the first of each
        if track.kind in _PICTURES and track.width:
            shown = track
        elif track.kind == b"soun":
            heard = track
    if fragments:
        seconds = max((_fragments_seconds(track) for track in (shown, heard) if track), default=0.0)
    if shown is None:
        return plausible(duration_ms=seconds * 1000, codec=heard.codec if heard else None)
    width, height = (shown.height, shown.width) if shown.is_turned else (shown.width, shown.height)
    rate = shown.samples * shown.scale / shown.samples_time if shown.samples_time else None
    return plausible(
        duration_ms=seconds * 1000, width=width, height=height, frame_rate=rate, codec=shown.codec
    )


def _movie(source: Source, movie: Box) -> tuple[float, list[_Track]]:
    """Return how long the film is, 0 if that is not told, and its tracks."""
    seconds, tracks, defaults = 0.0, list[_Track](), dict[int, int]()
    for box in _children(source, movie):
        if box.kind == b"mvhd":
            scale, duration = _scale_and_duration(_leaf(source, box))
            seconds = duration / scale if scale else 0.0
        elif box.kind == b"trak":
            tracks.append(_track(source, box))
        elif box.kind == b"mvex":
            for trex in _children(source, box, b"trex"):
                body = _leaf(source, trex)
                defaults[_number(body, 4, 4)] = _number(body, 12, 4)
    for track in tracks:
        track.default_time = defaults.get(track.number, 0)
    return seconds, tracks


def _track(source: Source, trak: Box) -> _Track:
    track = _Track()
    for box in _children(source, trak):
        if box.kind == b"tkhd":
            _read_header(_leaf(source, box), track)
        elif box.kind == b"mdia":
            for inner in _children(source, box):
                if inner.kind == b"mdhd":
                    track.scale, _ = _scale_and_duration(_leaf(source, inner))
                elif inner.kind == b"hdlr":
                    track.kind = _leaf(source, inner)[8:12]
                elif inner.kind == b"minf":
                    for table in _children(source, inner, b"stbl"):
                        _read_table(source, table, track)
    return track


def _read_header(body: bytes, track: _Track) -> None:
    """A track that is turned by a quarter has no ``a`` and no ``d`` in its matrix."""
    is_wide = body[:1] == bytes([_WIDE])
    track.number = _number(body, 20 if is_wide else 12, 4)
    matrix = body[52:88] if is_wide else body[40:76]
    track.is_turned = not any(matrix[:4]) and not any(matrix[16:20]) and any(matrix[4:8])


def _read_table(source: Source, table: Box, track: _Track) -> None:
    for box in _children(source, table):
        if box.kind == b"stsd":
            entry = _leaf(source, box)[8:]
            track.codec = codec_of(entry)
            if track.kind in _PICTURES:
                track.width, track.height = _number(entry, 32, 2), _number(entry, 34, 2)
        elif box.kind == b"stts":
            body = _leaf(source, box)
            for at in range(8, len(body) - 7, 8):
                count = _number(body, at, 4)
                track.samples += count
                track.samples_time += count * _number(body, at + 4, 4)


def _add_fragment(source: Source, traf: Box, tracks: Mapping[int, _Track]) -> None:
    """Note where a track's part of a fragment begins and ends, and how fast the first one is."""
    track, default, begin = None, 0, None
    for box in _children(source, traf):
        body = _leaf(source, box)
        flags = _number(body, 1, 3)
        if box.kind == b"tfhd":
            track = tracks.get(_number(body, 4, 4))
            at = 8 + 8 * bool(flags & _HAS_BASE) + 4 * bool(flags & _HAS_DESCRIPTION)
            default = _number(body, at, 4) if flags & _HAS_DURATION else track.default_time if track else 0
        elif box.kind == b"tfdt":
            begin = _number(body, 4, 8 if body[:1] == bytes([_WIDE]) else 4)
        elif box.kind == b"trun" and track is not None:
            _extend(track, begin, *_run(body, flags, default))
            begin = None


def _extend(track: _Track, begin: int | None, time: int, usual: int) -> None:
    if track.begin is None and not track.samples:
        track.begin = begin
    if begin is not None:
        track.end = begin
    if track.end is not None:
        track.end += time
    if usual and not track.samples:
        track.samples, track.samples_time = 1, usual


def _run(body: bytes, flags: int, default: int) -> tuple[int, int]:
    """Return how long a `trun` takes, and one of its samples: the median, since encoders guess the last."""
    count = _number(body, 4, 4)
    if not flags & _PER_SAMPLE_DURATION:
        return count * default, default if count else 0
    first = 8 + 4 * bool(flags & _HAS_OFFSET) + 4 * bool(flags & _HAS_FIRST)
    step = 4 * (flags & _PER_SAMPLE).bit_count()
    end = min(len(body) - 3, first + count * step)
    times = [_number(body, at, 4) for at in range(first, end, step)]
    return sum(times), sorted(times)[len(times) // 2] if times else 0


def _fragments_seconds(track: _Track) -> float:
    """Return how long a track of fragments is: what came before them, if anything did, begins at 0."""
    if track.end is None or not track.scale:
        return 0.0
    return max(0, track.end - (track.begin or 0)) / track.scale


def _scale_and_duration(body: bytes) -> tuple[int, int]:
    """Read the times of `mvhd` or `mdhd`."""
    if body[:1] == bytes([_WIDE]):
        return _number(body, 20, 4), _number(body, 24, 8)
    duration = _number(body, 16, 4)
    return _number(body, 12, 4), 0 if duration == _UNKNOWN_32 else duration


def _children(source: Source, box: Box, kind: bytes | None = None) -> Iterator[Box]:
    """Yield the boxes in a box that end in it."""
    end = box.end or box.body
    for child in boxes(source, box.body, end):
        if child.end is None or child.end > end:
            return
        if kind is None or child.kind == kind:
            yield child


def _leaf(source: Source, box: Box) -> bytes:
    return source.at(box.body, min((box.end or box.body) - box.body, _LEAF_BYTES))


def _number(body: bytes, at: int, length: int) -> int:
    return int.from_bytes(body[at : at + length])

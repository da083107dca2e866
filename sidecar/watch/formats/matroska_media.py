"""What the front of a Matroska segment tells of the film: its information and its tracks."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from sidecar.core.media_facts import MediaFacts, plausible

from .base import BoundedReader, TooMuchWorkError
from .ebml import number

_INFO, _TRACKS, _CLUSTER = 0x1549A966, 0x1654AE6B, 0x1F43B675
_SCALE, _DURATION = 0x2AD7B1, 0x4489
_ENTRY, _TYPE, _CODEC, _FRAME_NS = 0xAE, 0x83, 0x86, 0x23E383
_VIDEO, _WIDTH, _HEIGHT = 0xE0, 0xB0, 0xBA
_SHOWN, _HEARD = 1, 2  # types of tracks
_FRONT_BYTES = 64 * 1024
_ELEMENTS_MAX = 64
_SCALE_DEFAULT = 1_000_000  # nanoseconds
_CODECS = {
    b"V_MPEG4/ISO/AVC": "h264",
    b"V_MPEGH/ISO/HEVC": "hevc",
    b"V_MPEG4/ISO/ASP": "mpeg4",
    b"V_VP8": "vp8",
    b"V_VP9": "vp9",
    b"V_AV1": "av1",
    b"V_MJPEG": "mjpeg",
    b"V_PRORES": "prores",
    b"A_AAC": "aac",
    b"A_OPUS": "opus",
    b"A_VORBIS": "vorbis",
    b"A_FLAC": "flac",
    b"A_MPEG/L3": "mp3",
}


@dataclass(slots=True)
class _Track:
    kind: int = 0
    codec: str | None = None
    frame_ns: int = 0
    width: int = 0
    height: int = 0


def facts(reader: BoundedReader, body: int, end: int) -> MediaFacts | None:
    """Return what stands before the first cluster of the segment from ``body`` to ``end``."""
    bounded = BoundedReader(fd=reader.fd, size=reader.size, data=reader.data, reads_max=_ELEMENTS_MAX)
    try:
        return _facts(bounded, body, end)
    except (TooMuchWorkError, OSError):
        return None


def _facts(reader: BoundedReader, body: int, end: int) -> MediaFacts | None:
    duration_ms, tracks = 0.0, list[_Track]()
    front = reader.at(body, _FRONT_BYTES)
    at = 0
    while body + at < end:
        if at + 12 > len(front):  # a large filler, or an index that was put in front
            front, body, at = reader.at(body + at, _FRONT_BYTES), body + at, 0
        found = _element(front, at)
        if found is None or found[0] == _CLUSTER:
            break
        element, content, length = found
        if element == _INFO:
            duration_ms = _duration_ms(front[content : content + length])
        elif element == _TRACKS:
            inner = _elements(front[content : content + length])
            tracks = [_track(entry) for kind, entry in inner if kind == _ENTRY]
        at = content + length
    shown = next((track for track in tracks if track.kind == _SHOWN and track.width), None)
    heard = next((track for track in tracks if track.kind == _HEARD), None)
    if shown is None:
        return plausible(duration_ms=duration_ms, codec=heard.codec if heard else None)
    return plausible(
        duration_ms=duration_ms,
        width=shown.width,
        height=shown.height,
        frame_rate=1_000_000_000 / shown.frame_ns if shown.frame_ns else None,
        codec=shown.codec,
    )


def _duration_ms(info: bytes) -> float:
    scale, duration = _SCALE_DEFAULT, 0.0
    for element, content in _elements(info):
        if element == _SCALE:
            scale = int.from_bytes(content)
        elif element == _DURATION and len(content) in {4, 8}:
            (duration,) = struct.unpack(">f" if len(content) == 4 else ">d", content)  # noqa: PLR2004 - of two
    found = duration * scale / 1_000_000
    return found if math.isfinite(found) else 0.0


def _track(entry: bytes) -> _Track:
    track = _Track()
    for element, content in _elements(entry):
        if element == _TYPE:
            track.kind = int.from_bytes(content)
        elif element == _CODEC:
            name = content.rstrip(b"\0")
            track.codec = _CODECS.get(b"A_AAC" if name.startswith(b"A_AAC/") else name)
        elif element == _FRAME_NS:
            track.frame_ns = int.from_bytes(content)
        elif element == _VIDEO:
            sizes = {kind: int.from_bytes(size) for kind, size in _elements(content)}
            track.width, track.height = sizes.get(_WIDTH, 0), sizes.get(_HEIGHT, 0)
    return track


def _elements(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the elements in an element, as far as they are whole."""
    at = 0
    while (found := _element(content, at)) is not None:
        element, body, length = found
        if body + length > len(content):
            return
        yield element, content[body : body + length]
        at = body + length


def _element(content: bytes, at: int) -> tuple[int, int, int] | None:
    """Return an element's id, where its content is and how long; None where there is none of known length."""
    head = content[at : at + 12]
    element, id_bytes = number(head, keep_marker=True)
    length, length_bytes = number(head[id_bytes:], keep_marker=False)
    if element is None or length is None or not id_bytes or not length_bytes:
        return None
    return element, at + id_bytes + length_bytes, length

"""The codec of a sample entry, by the name that ffprobe gives it."""

from __future__ import annotations

_CODECS = {
    b"avc1": "h264",
    b"avc3": "h264",
    b"hvc1": "hevc",
    b"hev1": "hevc",
    b"vp08": "vp8",
    b"vp09": "vp9",
    b"av01": "av1",
    b"apch": "prores",
    b"apcn": "prores",
    b"apcs": "prores",
    b"apco": "prores",
    b"ap4h": "prores",
    b"ap4x": "prores",
    b"jpeg": "mjpeg",
    b"png ": "png",
    b"Opus": "opus",
    b"fLaC": "flac",
    b"ac-3": "ac3",
    b"ec-3": "eac3",
    b"alac": "alac",
    b".mp3": "mp3",
}
# Of MPEG's own entries a descriptor tells more: its object type.
_OBJECTS = {
    0x20: "mpeg4",
    0x40: "aac",
    0x61: "mpeg2video",
    0x66: "aac",
    0x67: "aac",
    0x69: "mp3",
    0x6B: "mp3",
    0x6C: "mjpeg",
    0x6D: "png",
    0xA5: "ac3",
    0xA6: "eac3",
}
_ES_DESCRIPTOR, _DECODER_CONFIGURATION = 0x03, 0x04


def codec_of(entry: bytes) -> str | None:
    """Return the codec of a sample entry, from its size field on; None for one that is not known here."""
    kind = entry[4:8]
    if kind in {b"mp4a", b"mp4v"}:
        at = entry.find(b"esds")
        return _OBJECTS.get(_object_type(entry[at + 8 :])) if at > 0 else None
    return _CODECS.get(kind)


def _object_type(descriptors: bytes) -> int:
    """Return the object type of an elementary stream's descriptors; 0 where there is none."""
    rest = _content(descriptors, _ES_DESCRIPTOR)
    flags = rest[2:3] or b"\0"
    at = 3 + 2 * bool(flags[0] & 0x80) + 2 * bool(flags[0] & 0x20)
    if flags[0] & 0x40:  # an address of so many bytes
        at += 1 + int.from_bytes(rest[at : at + 1])
    return int.from_bytes(_content(rest[at:], _DECODER_CONFIGURATION)[:1])


def _content(data: bytes, tag: int) -> bytes:
    """Return what follows a descriptor's tag and length, which takes up to 4 bytes."""
    if data[:1] != bytes([tag]):
        return b""
    at = 1
    while at <= 4 and data[at : at + 1] >= b"\x80":  # noqa: PLR2004 - as said
        at += 1
    return data[at + 1 :]

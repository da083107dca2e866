"""Empty and tiny media: what a killed encoder leaves is incomplete, the smallest whole file is complete."""

from __future__ import annotations

import io
import os
import random
import struct
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from sidecar.core.model import Fingerprint
from sidecar.watch.complete.decide import Abandon, Wait
from sidecar.watch.complete.probe import ProbePolicy, ProbeRequest, probe
from sidecar.watch.formats.base import Completeness
from sidecar.watch.formats.detect import judge
from sidecar.watch.formats.minimum_size import BYTES
from sidecar.watch.os.filesystem import Filesystems

HABITS = ProbePolicy(settle_seconds=0.25, scanning=False, abandon_after_seconds=900.0)


def box(kind: bytes, *inside: bytes) -> bytes:
    """Return an MP4's box."""
    body = b"".join(inside)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def element(number: str, *inside: bytes) -> bytes:
    """Return a Matroska element of less than 127 bytes."""
    body = b"".join(inside)
    return bytes.fromhex(number) + bytes([0x80 | len(body)]) + body


def _picture(format_name: str, **options: object) -> bytes:
    content = io.BytesIO()
    Image.new("L", (1, 1)).save(content, format_name, **options)
    return content.getvalue()


FTYP = box(b"ftyp", b"isom", bytes(4))
FILM = FTYP + box(b"moov", box(b"mvhd", bytes(100))) + box(b"mdat")
SEGMENT = box(b"moof", box(b"mfhd", bytes(8)), box(b"traf", box(b"tfhd", bytes(8)))) + box(b"mdat")
TRACK = element(
    "ae",
    element("d7", b"\x01"),
    element("73c5", b"\x01"),
    element("83", b"\x01"),
    element("86", b"V_VP8"),
    element("e0", element("b0", b"\x01"), element("ba", b"\x01")),
)
MATROSKA = element("1a45dfa3", element("4282", b"webm")) + element(
    "18538067",
    element("1549a966", element("4d80"), element("5741")),
    element("1654ae6b", TRACK),
    element("1f43b675", element("e7", b"\x00"), element("a3", b"\x81\x00\x00\x80\x00")),
)
WEBP = b"RIFF" + struct.pack("<I", 18) + b"WEBPVP8L" + struct.pack("<I", 6) + bytes(6)
SMALLEST = {
    "a.mp4": (FILM, Completeness.COMPLETE),
    "a.mov": (FILM, Completeness.COMPLETE),
    "a.m4s": (SEGMENT, Completeness.UNKNOWN),  # nothing says how many fragments there are
    "a.webm": (MATROSKA, Completeness.COMPLETE),
    "a.mkv": (MATROSKA, Completeness.COMPLETE),
    "a.png": (_picture("PNG"), Completeness.COMPLETE),
    "a.webp": (WEBP, Completeness.COMPLETE),
    "a.json": (b"7", Completeness.UNKNOWN),
}


def shape_of(name: str, content: bytes, folder: Path) -> Completeness:
    """Judge a content under a name."""
    (folder / name).write_bytes(content)
    fd = os.open(folder / name, os.O_RDONLY)
    try:
        return judge(fd, name).completeness
    finally:
        os.close(fd)


@pytest.mark.parametrize("name", SMALLEST)
def test_the_smallest_whole_file_is_as_small_as_the_table_says(name: str, tmp_path: Path) -> None:
    """Built by hand, field by field; PNG by Pillow, from one grey pixel."""
    content, shape = SMALLEST[name]
    assert len(content) == BYTES[Path(name).suffix]
    assert shape_of(name, content, tmp_path) is shape
    assert shape_of(name, content[:-1], tmp_path) is Completeness.INCOMPLETE


@pytest.mark.parametrize("extension", BYTES)
def test_less_than_that_is_incomplete_and_as_much_of_anything_settles(extension: str, tmp_path: Path) -> None:
    """Nothing, zeros, or bytes of no format: a file has to be large enough to be one that nobody knows."""
    name, smallest, chance = f"a{extension}", BYTES[extension], random.Random(extension)
    for size in {0, 1, smallest // 2, smallest - 1} - {smallest}:
        for content in (bytes(size), b"x" * size, chance.randbytes(size)):
            assert shape_of(name, content, tmp_path) is Completeness.INCOMPLETE
    assert shape_of(name.upper(), b"x" * (smallest - 1), tmp_path) is Completeness.INCOMPLETE
    assert shape_of(name, b"x" * smallest, tmp_path) is Completeness.UNKNOWN


@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_a_picture_of_one_pixel_is_complete(format_name: str, tmp_path: Path) -> None:
    """As Pillow writes it."""
    name = f"a.{format_name.lower()}"
    assert shape_of(name, _picture(format_name), tmp_path) is Completeness.COMPLETE


def test_what_shows_its_format_is_judged_by_that_however_small(tmp_path: Path) -> None:
    """A lossless JPEG-LS of one pixel is smaller than any that a browser decodes."""
    lossless = bytes.fromhex("ffd8 fff7000b080001000101011100 ffda0008010100000000 00 ffd9")
    assert len(lossless) < BYTES[".jpg"]
    assert shape_of("a.jpg", lossless, tmp_path) is Completeness.COMPLETE


@pytest.mark.parametrize("name", ["a.py", "a.vtt", "a.srt", "a.txt", "a"])
def test_text_may_be_empty(name: str, tmp_path: Path) -> None:
    """An empty module, or a scene without a word, is whole."""
    assert shape_of(name, b"", tmp_path) is Completeness.UNKNOWN


@pytest.mark.parametrize("check_structure", [True, False])
def test_an_empty_film_is_never_shipped_and_in_time_abandoned(tmp_path: Path, check_structure: bool) -> None:
    """Also where the rule says not to look into it: nothing has to be looked into."""
    (tmp_path / "killed.webm").write_bytes(b"")
    request = ProbeRequest(
        row_id=1,
        root=str(tmp_path),
        path="killed.webm",
        rule_settle_seconds=0.0,
        check_structure=check_structure,
        identity=None,
        quiet_since=0.0,
    )
    first = probe(request, HABITS, Filesystems(), now=10.0)
    assert isinstance(first.found, Wait)
    assert "0 bytes are too few for a whole .webm file" in first.found.why
    request = replace(request, identity=first.identity)
    assert isinstance(probe(request, HABITS, Filesystems(), now=899.0).found, Wait)
    assert isinstance(probe(request, HABITS, Filesystems(), now=901.0).found, Abandon)
    (tmp_path / "killed.webm").write_bytes(MATROSKA)
    assert isinstance(probe(request, HABITS, Filesystems(), now=902.0).found, Fingerprint | Wait)

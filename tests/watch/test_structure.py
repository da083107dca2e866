"""Structure by content, on what ffmpeg really writes, cut at many points."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.watch.form import Shape
from sidecar.watch.structure import judge

from .conftest import ffmpeg, picture

X264 = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"]
FRAGMENTS = "frag_keyframe+empty_moov+default_base_moof"
WRITERS = {
    "plain.mp4": X264,
    "plain.mov": X264,
    "faststart.mp4": [*X264, "-movflags", "+faststart"],
    "film.mkv": X264,
    "film.webm": ["-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8"],
    "still.png": ["-frames:v", "1"],
    "still.jpg": ["-frames:v", "1"],
    "still.webp": ["-frames:v", "1", "-c:v", "libwebp"],
}
FRAGMENTED = [*X264, "-g", "10", "-movflags", FRAGMENTS]


def shape_of(path: Path, content: bytes) -> Shape:
    """Judge some bytes under a name."""
    path.write_bytes(content)
    fd = os.open(path, os.O_RDONLY)
    try:
        return judge(fd, path.name).shape
    finally:
        os.close(fd)


def cuts(size: int) -> list[int]:
    """Choose lengths that a killed writer could leave: both ends, and many in between."""
    chance = random.Random(size)
    edges = [*range(8, min(64, size)), *range(max(8, size - 64), size)]
    return sorted({*edges, *(chance.randrange(8, size) for _ in range(300))})


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Let ffmpeg write each format once."""
    folder = tmp_path_factory.mktemp("written")
    for name, options in {**WRITERS, "fragmented.mp4": FRAGMENTED}.items():
        ffmpeg(*picture(2), *options, folder / name)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("name", WRITERS)
def test_a_whole_file_is_complete_and_no_cut_of_it_is(
    name: str, written: dict[str, bytes], tmp_path: Path
) -> None:
    """Every prefix that still shows its format is incomplete, not merely unknown."""
    content = written[name]
    assert shape_of(tmp_path / name, content) is Shape.COMPLETE
    shapes = {length: shape_of(tmp_path / name, content[:length]) for length in cuts(len(content))}
    assert {length for length, shape in shapes.items() if shape is Shape.COMPLETE} == set()
    assert {
        length for length, shape in shapes.items() if length >= 16 and shape is not Shape.INCOMPLETE
    } == set()


def test_a_fragmented_file_is_complete_only_where_a_fragment_ends(
    written: dict[str, bytes], tmp_path: Path
) -> None:
    """It has no other end mark; inside a fragment, or before the first, it is incomplete."""
    content, path = written["fragmented.mp4"], tmp_path / "fragmented.mp4"
    assert shape_of(path, content) is Shape.COMPLETE
    ends, offset, kinds = [], 0, []
    while offset < len(content):
        offset_after = offset + int.from_bytes(content[offset : offset + 4])
        kinds.append(content[offset + 4 : offset + 8])
        offset = offset_after
        ends.append(offset)
    fragments = {end for end, kind in zip(ends, kinds, strict=True) if kind in {b"mdat", b"mfra"}}
    assert len(fragments) >= 4
    for length in {*cuts(len(content)), *ends}:
        expected = Shape.COMPLETE if length in fragments else Shape.INCOMPLETE
        assert shape_of(path, content[:length]) is expected


def test_the_extension_does_not_hide_the_format(written: dict[str, bytes], tmp_path: Path) -> None:
    """The first bytes decide, whatever the name."""
    assert shape_of(tmp_path / "film.bin", written["plain.mp4"]) is Shape.COMPLETE
    assert shape_of(tmp_path / "film.mp4", written["film.mkv"][:-1]) is Shape.INCOMPLETE


@pytest.mark.parametrize("name", [*WRITERS, "a.json", "a.ts", "a.vtt", "a.py", "a"])
def test_random_bytes_settle_under_any_name(name: str, tmp_path: Path) -> None:
    """They are no format, so they are neither complete nor incomplete."""
    chance = random.Random(name)
    for size in (0, 1, 7, 8, 9, 16, 1000, 70_000):
        assert shape_of(tmp_path / name, chance.randbytes(size)) is Shape.UNKNOWN


def test_a_cut_webm_stream_of_unknown_size_is_incomplete(tmp_path: Path) -> None:
    """What ffmpeg pipes has no segment size; the rule's `structure: off` is for it."""
    ffmpeg(*picture(1), *WRITERS["film.webm"], "-live", "1", tmp_path / "live.webm")
    fd = os.open(tmp_path / "live.webm", os.O_RDONLY)
    answer = judge(fd, "live.webm")
    os.close(fd)
    assert answer.shape is Shape.INCOMPLETE
    assert "no size yet" in answer.why


def test_padding_after_a_whole_mp4_settles(written: dict[str, bytes], tmp_path: Path) -> None:
    """Something behind the last box is no proof of a killed writer."""
    assert shape_of(tmp_path / "a.mp4", written["plain.mp4"] + bytes(100)) is Shape.UNKNOWN


def test_a_jpeg_with_a_trailer_is_complete(written: dict[str, bytes], tmp_path: Path) -> None:
    """Cameras append to it; the end mark is still there."""
    assert shape_of(tmp_path / "a.jpg", written["still.jpg"] + b"trailer") is Shape.COMPLETE


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(value=st.dictionaries(st.text(), values, min_size=1), ascii_only=st.booleans(), data=st.data())
def test_json_that_stops_is_incomplete(
    tmp_path_factory: pytest.TempPathFactory, value: dict[str, object], ascii_only: bool, data: st.DataObject
) -> None:
    """No proper prefix of an object is complete, and each is known to be cut off."""
    content = json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    try:
        content.decode()
    except UnicodeDecodeError:
        return
    path = tmp_path_factory.getbasetemp() / "value.json"
    assert shape_of(path, content.ljust(8)) is Shape.COMPLETE
    if len(content) > 8:
        length = data.draw(st.integers(8, len(content) - 1))
        assert shape_of(path, content[:length]) is Shape.INCOMPLETE


def test_large_json_needs_its_last_bracket(tmp_path: Path) -> None:
    """It is too large to be parsed: cut off it is incomplete, whole it settles."""
    text = json.dumps({"frames": list(range(400_000))}).encode()
    assert shape_of(tmp_path / "a.json", text + b"\n") is Shape.UNKNOWN
    assert shape_of(tmp_path / "a.json", text[:-1]) is Shape.INCOMPLETE
    assert shape_of(tmp_path / "a.json", text[: len(text) // 2]) is Shape.INCOMPLETE
    assert shape_of(tmp_path / "a.json", b"x" + text[:-1]) is Shape.UNKNOWN


@pytest.mark.parametrize(
    "text",
    ['{"a": 1} {"b": 2}', "{'python': 1}", '{"a": 1,}  ', "// comment\n{}", '"just text"', "[" * 100_000],
)
def test_what_only_resembles_json_settles(text: str, tmp_path: Path) -> None:
    """Wrong, or endlessly deep, is not cut off."""
    assert shape_of(tmp_path / "a.json", text.encode()) is not Shape.COMPLETE
    if not text.startswith("[["):
        assert shape_of(tmp_path / "a.json", text.encode()) is Shape.UNKNOWN


def test_work_is_bounded_on_a_hostile_file(tmp_path: Path) -> None:
    """A million tiny boxes or chunks are given up, not walked for ever."""
    boxes = b"\0\0\0\x08ftyp" + b"\0\0\0\x08free" * 300_000
    assert shape_of(tmp_path / "a.mp4", boxes) is Shape.UNKNOWN
    chunks = b"\x89PNG\r\n\x1a\n" + b"\0\0\0\0tEXt\0\0\0\0" * 300_000
    assert shape_of(tmp_path / "a.png", chunks) is Shape.UNKNOWN

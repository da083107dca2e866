"""Structure by content: what decides, JSON, and random bytes; `test_formats.py` has the encoders' files."""

from __future__ import annotations

import json
import os
import random
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.model import Fingerprint
from sidecar.watch.complete.decide import Wait
from sidecar.watch.complete.probe import ProbePolicy, ProbeRequest, probe
from sidecar.watch.formats.base import Completeness
from sidecar.watch.formats.detect import judge
from sidecar.watch.os.filesystem import Filesystems

from .conftest import ffmpeg, picture
from .corpus import VP8, X264


def shape_of(path: Path, content: bytes) -> Completeness:
    """Judge some bytes under a name."""
    path.write_bytes(content)
    fd = os.open(path, os.O_RDONLY)
    try:
        return judge(fd, path.name).completeness
    finally:
        os.close(fd)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Let ffmpeg write two films."""
    folder = tmp_path_factory.mktemp("written")
    names = ("plain.mp4", "film.mkv")
    ffmpeg(*picture(1), *(argument for name in names for argument in (*X264, folder / name)))
    return {name: (folder / name).read_bytes() for name in names}


def test_the_extension_does_not_hide_the_format(written: dict[str, bytes], tmp_path: Path) -> None:
    """The first bytes decide, whatever the name."""
    assert shape_of(tmp_path / "film.bin", written["plain.mp4"]) is Completeness.COMPLETE
    assert shape_of(tmp_path / "film.mp4", written["film.mkv"][:-1]) is Completeness.INCOMPLETE


@pytest.mark.parametrize(
    "name",
    [
        "a.mp4",
        "a.mov",
        "a.m4s",
        "a.mkv",
        "a.webm",
        "a.png",
        "a.jpg",
        "a.webp",
        "a.json",
        "a.ts",
        "a.vtt",
        "a",
    ],
)
def test_random_bytes_settle_under_any_name(name: str, tmp_path: Path) -> None:
    """They are no format, so they are neither complete nor incomplete."""
    chance = random.Random(name)
    for size in (140, 141, 1000, 70_000):
        assert shape_of(tmp_path / name, chance.randbytes(size)) is Completeness.UNKNOWN


def test_a_webm_stream_of_unknown_size_is_incomplete_unless_its_rule_says_off(tmp_path: Path) -> None:
    """What ffmpeg pipes has no segment size; the reason names the way out, and that way settles."""
    ffmpeg(*picture(1), *VP8, "-live", "1", tmp_path / "live.webm")
    policy = ProbePolicy(settle_seconds=0.25, scanning=False, abandon_after_seconds=900.0)
    request = ProbeRequest(
        row_id=1,
        root=str(tmp_path),
        path="live.webm",
        rule_settle_seconds=0.0,
        check_structure=True,
        identity=None,
        quiet_since=0.0,
    )
    found = probe(request, policy, Filesystems(), now=100.0).found
    assert isinstance(found, Wait)
    assert "no size yet" in found.why
    assert "`structure: off`" in found.why
    assert isinstance(
        probe(replace(request, check_structure=False), policy, Filesystems(), now=100.0).found, Fingerprint
    )


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
    assert shape_of(path, content.ljust(8)) is Completeness.COMPLETE
    if len(content) > 8:
        length = data.draw(st.integers(8, len(content) - 1))
        assert shape_of(path, content[:length]) is Completeness.INCOMPLETE


def test_large_json_needs_its_last_bracket(tmp_path: Path) -> None:
    """It is too large to be parsed: cut off it is incomplete, whole it settles."""
    text = json.dumps({"frames": list(range(400_000))}).encode()
    assert shape_of(tmp_path / "a.json", text + b"\n") is Completeness.UNKNOWN
    assert shape_of(tmp_path / "a.json", text[:-1]) is Completeness.INCOMPLETE
    assert shape_of(tmp_path / "a.json", text[: len(text) // 2]) is Completeness.INCOMPLETE
    assert shape_of(tmp_path / "a.json", b"x" + text[:-1]) is Completeness.UNKNOWN


@pytest.mark.parametrize(
    "text",
    ['{"a": 1} {"b": 2}', "{'python': 1}", '{"a": 1,}  ', "// comment\n{}", '"just text"', "[" * 100_000],
)
def test_what_only_resembles_json_settles(text: str, tmp_path: Path) -> None:
    """Wrong, or endlessly deep, is not cut off."""
    assert shape_of(tmp_path / "a.json", text.encode()) is not Completeness.COMPLETE
    if not text.startswith("[["):
        assert shape_of(tmp_path / "a.json", text.encode()) is Completeness.UNKNOWN

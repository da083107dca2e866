"""What a film or picture is, as its structure tells it: compared with ffmpeg. It decides nothing."""

from __future__ import annotations

import os
import re
import struct
import subprocess
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from sidecar.core.media_facts import MediaFacts
from sidecar.journal.stores.transfers import Transfers
from sidecar.watch.formats import base, detect, matroska_media, mp4_media
from sidecar.watch.formats.base import Structure

from .conftest import FFMPEG, World, ffmpeg, picture
from .corpus import AV1, STILL, X264

SOUND = ["-f", "lavfi", "-i", "sine=duration=0.5"]
HEVC = ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none")
VP9 = ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8")
FRAGMENTS = ("-g", "4", "-movflags", "frag_keyframe+empty_moov")
FILMS = {
    "h264.mp4": (*SOUND, *X264, "-c:a", "aac"),
    "h264-fragments.mp4": (*SOUND, *X264, *FRAGMENTS, "-c:a", "aac"),
    "reordered.mp4": ("-c:v", "libx264", "-bf", "2", "-pix_fmt", "yuv420p"),
    "hevc.mp4": HEVC,
    "hevc-fragments.mp4": (*HEVC, *FRAGMENTS, "-tag:v", "hvc1"),
    "vp9.mp4": VP9,
    "vp9.webm": (*SOUND, *VP9, "-c:a", "libopus"),
    "av1.mp4": AV1,
    "av1-fragments.mp4": (*AV1, *FRAGMENTS),
    "av1.mkv": AV1,
    "mpeg4.mov": ("-c:v", "mpeg4"),
}
SOUNDS = {"aac.m4a": ("-c:a", "aac"), "mp3.mp4": ("-c:a", "libmp3lame"), "opus.webm": ("-c:a", "libopus")}
PICTURES = ("still.png", "still.jpg", "still.webp")
SOURCE = picture(0.6, rate=15, size="96x54")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Let ffmpeg write all of them."""
    into = tmp_path_factory.mktemp("films")
    silent = {name: options for name, options in FILMS.items() if SOUND[0] not in options}
    outputs: list[str | Path] = []
    for name, options in silent.items():
        outputs += [*options, into / name]
    ffmpeg(*SOURCE, *outputs)
    for name in FILMS.keys() - silent.keys():
        ffmpeg(*SOURCE, *FILMS[name], into / name)
    for name, options in SOUNDS.items():
        ffmpeg(*SOUND, *options, into / name)
    for name in PICTURES:
        ffmpeg(*SOURCE, *STILL, into / name)
    return into


def judged(path: Path) -> Structure:
    """Look at a file as a probe does."""
    fd = os.open(path, os.O_RDONLY)
    try:
        return detect.judge(fd, path.name)
    finally:
        os.close(fd)


def as_ffmpeg_says(path: Path) -> dict[str, Any]:
    """Return what ffmpeg prints of a file: its demuxers and decoders are ffprobe's."""
    told = subprocess.run([FFMPEG, "-i", path], capture_output=True, text=True, check=False).stderr
    hours, minutes, seconds = re.findall(r"Duration: (\d+):(\d+):([\d.]+)", told)[0]
    codecs = dict(reversed(re.findall(r"Stream #.*?(Video|Audio): (\w+)", told)))
    found: dict[str, Any] = {"seconds": int(hours) * 3600 + int(minutes) * 60 + float(seconds)}
    if (size := re.search(r"Video: .*?, (\d+)x(\d+)", told)) is not None:
        found |= {"size": (int(size[1]), int(size[2])), "rate": float(re.findall(r"([\d.]+) tbr", told)[0])}
    return {**found, "codec": codecs.get("Video", codecs.get("Audio"))}


@pytest.mark.parametrize("name", FILMS)
def test_a_film_is_told_as_ffmpeg_tells_it(folder: Path, name: str) -> None:
    """How long, how large, how fast, by which codec; in fragments or not."""
    media, said = judged(folder / name).media, as_ffmpeg_says(folder / name)
    assert media is not None
    assert media.duration_ms == pytest.approx(said["seconds"] * 1000, abs=10)
    assert ((media.width, media.height), media.codec) == (said["size"], said["codec"])
    assert media.frame_rate == pytest.approx(said["rate"], abs=0.01)


@pytest.mark.parametrize("name", SOUNDS)
def test_sound_alone_has_a_duration_and_a_codec(folder: Path, name: str) -> None:
    """And no size."""
    media, said = judged(folder / name).media, as_ffmpeg_says(folder / name)
    assert media is not None
    assert media.duration_ms == pytest.approx(said["seconds"] * 1000, abs=10)
    assert replace(media, duration_ms=None) == MediaFacts(codec=said["codec"])


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_has_a_size(folder: Path, name: str) -> None:
    """And nothing else."""
    assert judged(folder / name).media == MediaFacts(width=96, height=54)


def test_a_film_that_its_header_turns_is_told_as_it_is_shown(folder: Path, tmp_path: Path) -> None:
    """As phones write it: a player lays out its page before a frame has come."""
    ffmpeg("-display_rotation", "90", "-i", folder / "h264.mp4", "-c", "copy", tmp_path / "turned.mp4")
    media = judged(tmp_path / "turned.mp4").media
    assert media is not None
    assert (media.width, media.height) == (54, 96)


def test_an_index_that_cannot_be_true_tells_nothing(folder: Path, tmp_path: Path) -> None:
    """No film of 0 pixels, nor of a thousand years."""
    content = bytearray((folder / "h264.mp4").read_bytes())
    at = content.index(b"mvhd") + 4
    content[at + 12 : at + 20] = struct.pack(">II", 1, 0xFFFFFFF0)
    at = content.rindex(b"avc1") + 28
    content[at : at + 2] = b"\0\0"
    (tmp_path / "a.mp4").write_bytes(content)
    found = judged(tmp_path / "a.mp4")
    assert found.completeness is base.Completeness.COMPLETE
    assert found.media == MediaFacts(codec="aac")


def damaged(content: bytes, chance: Random) -> bytes:
    """Change a few bytes near the places where structure is, and perhaps cut or repeat something."""
    broken = bytearray(content)
    marks = [at.start() for at in re.finditer(rb"[a-zA-Z]{4}|\x1a\x45|\x16\x54|\x15\x49", content)]
    for _ in range(chance.randint(1, 8)):
        at = (chance.choice(marks) + chance.randint(-8, 24)) % len(broken)
        broken[at] = chance.choice([0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)])
    if chance.random() < 0.2:
        at = chance.randrange(len(broken))
        broken[at:at] = broken[at : at + chance.randint(1, 64)]
    return bytes(broken)


@pytest.mark.parametrize("name", ["h264.mp4", "h264-fragments.mp4", "vp9.webm", *PICTURES])
def test_what_it_tells_holds_no_file_and_fails_none(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Whatever is in a film, it is judged as if nobody had asked what it is; and what is told can be true."""
    content, chance, path = (folder / name).read_bytes(), Random(name), tmp_path / name
    seen = []
    for _ in range(150):
        path.write_bytes(broken := damaged(content, chance))
        seen.append((broken, judged(path)))
    monkeypatch.setattr(mp4_media, "facts", lambda *_: None)
    monkeypatch.setattr(matroska_media, "facts", lambda *_: None)
    for broken, structure in seen:
        path.write_bytes(broken)
        assert replace(structure, media=None) == replace(judged(path), media=None)
        assert structure.media is None or min(map(_number, structure.media.wire().values())) > 0


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 1.0


@pytest.mark.parametrize("depth", [1, 3, 5])
def test_an_index_made_to_cost_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, depth: int
) -> None:
    """Of four million boxes few are looked at, and the film is as complete as it was."""
    reads = list[int]()
    pread = os.pread

    def counted(fd: int, length: int, offset: int) -> bytes:
        reads.append(length)
        return pread(fd, length, offset)

    monkeypatch.setattr(os, "pread", counted)
    bomb = struct.pack(">I4s", 8, b"trak") * 30_000
    for kind in [b"stbl", b"minf", b"mdia", b"trak"][:depth]:
        bomb = struct.pack(">I4s", 8 + len(bomb), kind) + bomb
    moov = struct.pack(">I4s", 8 + 16 + len(bomb), b"moov") + struct.pack(">I4s8x", 16, b"mvhd") + bomb
    film = struct.pack(">I4s4sI", 16, b"ftyp", b"isom", 0) + moov + struct.pack(">I4s", 8, b"mdat")
    (tmp_path / "bomb.mp4").write_bytes(film)
    found = judged(tmp_path / "bomb.mp4")
    assert (found.completeness, found.media) == (base.Completeness.COMPLETE, None)
    walked = 30_000 if depth == 1 else 0  # the index's own boxes, which the judgement looks at
    assert len(reads) < walked + 2_000
    assert sum(reads) < 4 * 1024 * 1024


async def test_what_a_film_is_reaches_its_op(world: World, folder: Path) -> None:
    """Journaled with its completion, small or large."""
    names = ["small.mp4", "large.mp4"]
    film = (folder / "h264.mp4").read_bytes()
    for name, filler in zip(names, (0, 2 * 1024 * 1024), strict=True):
        world.put(f"p/s/one/video/{name}", film + struct.pack(">I4s", 8 + filler, b"free") + bytes(filler))
    await world.until_ready(*(f"p/s/one/video/{name}" for name in names))
    rows = await world.writer.run(lambda journal: journal.db.execute("SELECT id FROM transfers").fetchall())
    found = [await world.writer.do(Transfers.one, row[0]) for row in rows]
    assert [one.media for one in found] == [judged(folder / "h264.mp4").media] * 2

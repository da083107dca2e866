"""The demo's renderer draws what a lesson consists of, with real ffmpeg."""

from __future__ import annotations

import asyncio
import json
import subprocess
from pathlib import Path

import pytest

from sidecar.local.child import ServerError
from sidecar.local.lesson import CHUNKS, LESSON, subtitles
from sidecar.local.proof import SESSION_ID, place_of
from sidecar.local.renderer import COMBINED_BYTES_MIN, Rendered, Renderer, find_ffmpeg


@pytest.fixture(scope="module")
def lesson(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Rendered], list[Rendered]]:
    """Draw one lesson as fast as it goes: the root, what was reported on the way, what was kept."""
    root = tmp_path_factory.mktemp("renders")
    reported: list[Rendered] = []
    renderer = Renderer(root, on_file=reported.append, speed=100.0)
    asyncio.run(renderer.render())
    return root, reported, renderer.files


Lesson = tuple[Path, list[Rendered], list[Rendered]]


def test_every_file_is_reported_once_with_its_size(lesson: Lesson) -> None:
    """The report is what the proof at the end relies on."""
    root, reported, files = lesson
    assert reported == files
    assert len({file.path for file in files}) == len(files) == len(LESSON) * (CHUNKS + 3) + 3
    assert all((root / file.path).stat().st_size == file.size_bytes for file in files)


def test_every_file_has_a_place_of_its_own(lesson: Lesson) -> None:
    """Scene and name tell files apart, as slots do in Convex."""
    _, _, files = lesson
    assert len({place_of(file) for file in files}) == len(files)
    assert sum(place_of(file)[0] == SESSION_ID for file in files) == 3


def test_the_combined_video_needs_several_parts_and_plays(lesson: Lesson) -> None:
    """More than 20 MiB, so that the demo shows a multipart upload; ffmpeg reads it to its end."""
    root, _, files = lesson
    (combined,) = [file for file in files if "combined" in file.path and file.path.endswith("mp4")]
    assert combined.size_bytes > COMBINED_BYTES_MIN
    read = [find_ffmpeg(), "-v", "error", "-i", str(root / combined.path), "-c", "copy", "-f", "null", "-"]
    assert subprocess.run(read, capture_output=True, check=True).stderr == b""


def test_the_manifest_names_every_earlier_file(lesson: Lesson) -> None:
    """The manifest is the last file of a session."""
    root, _, files = lesson
    manifest = json.loads((root / files[-1].path).read_text())
    assert [entry["path"] for entry in manifest["files"]] == [file.path for file in files[:-1]]


def test_subtitles_are_cues_of_a_chunk_each() -> None:
    """WebVTT by the book: header, blank line, cues with times and words."""
    assert subtitles(("One", "Two")).splitlines() == [
        *("WEBVTT", ""),
        *("00:00:00.000 --> 00:00:02.000", "One", ""),
        *("00:00:02.000 --> 00:00:04.000", "Two"),
    ]


async def test_a_failing_ffmpeg_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says what ffmpeg said."""
    broken = tmp_path / "ffmpeg"
    broken.write_text("#!/bin/sh\necho 'no space left' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr("sidecar.local.renderer.find_ffmpeg", lambda: str(broken))
    with pytest.raises(ServerError, match="ffmpeg ended with status 1: no space left"):
        await Renderer(tmp_path / "renders", on_file=lambda _: None).render()

"""Real writers at work: ffmpeg while it writes, and killed in the middle."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from sidecar.core.findings import Finding
from sidecar.core.model import State
from tests.support.processes import holds

from .conftest import FFMPEG, World, picture

VIDEO = "p/s/one/video/chunk_001"
X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")


async def render(file: Path, seconds: float, *options: str) -> asyncio.subprocess.Process:
    """Start an ffmpeg that writes in real time."""
    file.parent.mkdir(parents=True, exist_ok=True)
    source = ["-re", *picture(seconds, size="640x360")]
    return await asyncio.create_subprocess_exec(
        FFMPEG, "-nostdin", "-loglevel", "error", "-y", *source, *options, "-flush_packets", "1", str(file)
    )


async def states_of(world: World, path: str) -> list[State]:
    """Return the states of a path's transfers."""
    return (await world.states()).get(path, [])


@pytest.mark.parametrize(
    ("extension", "options"),
    [
        ("mp4", X264),
        ("mp4", (*X264, "-movflags", "+faststart")),
        ("mp4", (*X264, "-g", "10", "-movflags", "frag_keyframe+empty_moov")),
        ("mkv", X264),
        ("webm", ("-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8")),
        ("ts", X264),
    ],
)
async def test_a_film_is_not_ready_before_its_writer_is_done(
    world: World, extension: str, options: tuple[str, ...]
) -> None:
    """It waits, visibly, as long as ffmpeg runs; then it is ready, once, as ffmpeg left it."""
    path = f"{VIDEO}.{extension}"
    process = await render(world.root / path, 1.5, *options)
    reasons = set()
    while process.returncode is None:
        if State.READY in await states_of(world, path):  # it may have closed the film and not have ended yet
            assert not holds(process.pid, world.root / path)
        reasons |= {candidate.why for candidate in world.stage.pending()}
        await asyncio.wait({asyncio.create_task(process.wait())}, timeout=0.02)
    assert process.returncode == 0
    await world.until_ready(path)
    [row] = await world.rows()
    assert row.size_bytes == (world.root / path).stat().st_size
    assert "a process still has it open for writing" in reasons


@pytest.mark.parametrize(
    ("extension", "options", "why"),
    [
        ("mp4", X264, "the MP4's mdat box has no size yet"),
        ("mp4", (*X264, "-movflags", "+faststart"), "the MP4's mdat box has no size yet"),
        ("mkv", X264, "the Matroska segment has no size yet"),
        ("webm", ("-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8"), "has no size yet"),
    ],
)
async def test_a_killed_writers_film_is_never_ready_and_says_why(
    world: World, extension: str, options: tuple[str, ...], why: str
) -> None:
    """kill -9 in the middle: its lease is free at once, its structure is not whole."""
    path = f"{VIDEO}.{extension}"
    process = await render(world.root / path, 30, *options)

    async def grown() -> bool:
        file = world.root / path
        return file.exists() and file.stat().st_size > 50_000

    await world.until(grown)
    process.send_signal(signal.SIGKILL)
    await process.wait()

    async def explained() -> bool:
        found = await world.stage.explain(str(world.root), path)
        return found.finding is Finding.WAITING and why in found.why

    await world.until(explained)
    await world.stage.scan_now()
    assert await states_of(world, path) == [State.DISCOVERED]
    assert [candidate.path for candidate in world.stage.pending()] == [path]


async def test_a_file_that_grows_by_appends_settles_after_the_last_one(world: World) -> None:
    """Open, append, close, again and again: free in between, but never quiet long enough."""
    path = "p/s/one/subtitles/en.vtt"
    file = world.put(path, b"WEBVTT\n")
    for number in range(10):
        with file.open("ab") as handle:
            handle.write(f"line {number}\n".encode())
        assert State.READY not in await states_of(world, path)
        await asyncio.sleep(0.08)
    await world.until_ready(path)
    rows = await world.rows()
    assert [row.size_bytes for row in rows] == [file.stat().st_size]


async def test_a_large_film_does_not_hold_up_a_thumbnail(world: World) -> None:
    """Large files are read in lanes of their own."""
    film = world.root / "p/s/combined/film.mp4"
    film.parent.mkdir(parents=True)
    mdat = 64 * 1024 * 1024
    header = b"\0\0\0\x10ftypisom\0\0\0\0\0\0\0\x10moov\0\0\0\x08mvhd" + mdat.to_bytes(4) + b"mdat"
    with film.open("wb") as handle:
        handle.write(header)
        handle.truncate(len(header) - 8 + mdat)
    world.put("p/s/one/source/scene.py")
    await world.until_ready("p/s/combined/film.mp4", "p/s/one/source/scene.py")

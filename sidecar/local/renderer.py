"""A renderer as the sidecar meets them: real ffmpeg, writing its files in place into a watched folder."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import tether
from .child import ServerError
from .lesson import CHUNK_SECONDS, CHUNKS, LESSON, PROJECT, SESSION, Picture, program, subtitles

COMBINED_BYTES_MIN = 20 * 1024 * 1024
_BITS_PER_SECOND = 8_500_000  # noise makes x264 use all of it: 24 s of it exceed COMBINED_BYTES_MIN
WATCHABLE = 2.0  # chunks are drawn at twice the speed that they play at


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """A finished file: ``path`` below the root, and when its last byte was written (the file's mtime)."""

    path: str
    size_bytes: int
    written_ms: float


def find_ffmpeg() -> str:
    """Return the path of the ffmpeg of the ``demo`` extra. Raises ServerError."""
    try:
        import imageio_ffmpeg  # noqa: PLC0415 - an optional extra
    except ImportError:
        raise ServerError("ffmpeg is not installed: pip install 'render-sidecar[demo]'") from None
    return str(imageio_ffmpeg.get_ffmpeg_exe())


class Renderer:
    """Draws the lesson below ``root``, scene by scene; ``on_file`` hears of every finished file."""

    def __init__(self, root: Path, *, on_file: Callable[[Rendered], None], speed: float = WATCHABLE) -> None:
        """Find ffmpeg; nothing is written yet. ``speed`` 1 draws in real time. Raises ServerError."""
        self._ffmpeg = find_ffmpeg()
        self._root = root
        self._speed = speed
        self._session = root / PROJECT / SESSION
        self._on_file = on_file
        self.files: list[Rendered] = []

    async def render(self) -> None:
        """Draw everything. Raises ServerError if ffmpeg fails; when cancelled, ffmpeg is killed."""
        for picture in LESSON:
            await self._scene(picture)
        await self._combine()
        self._write(self._session / "manifest.json", json.dumps(self._manifest(), indent=2))

    async def _scene(self, picture: Picture) -> None:
        folder = self._session / picture.scene
        self._write(folder / "source" / "scene.py", program(picture))
        for number in range(1, CHUNKS + 1):
            chunk = folder / "video" / f"chunk-{number:03}.mp4"
            await self._encode(picture, number, chunk)
            if number == 1:
                await self._picture_of(chunk, folder / "thumbnails" / "thumbnail.png")
        self._write(folder / "subtitles" / "narration.vtt", subtitles(picture.lines))
        (folder / ".complete").write_text(json.dumps({"chunks": CHUNKS}))

    async def _encode(self, picture: Picture, number: int, target: Path) -> None:
        start = (number - 1) * CHUNK_SECONDS
        rate = str(_BITS_PER_SECOND)
        await self._ffmpeg_to(
            target,
            *(
                "-readrate",
                str(self._speed),
                "-readrate_initial_burst",
                str(start),
                "-f",
                "lavfi",
                "-i",
                picture.source,
            ),
            *("-vf", f"trim=start={start},setpts=PTS-STARTPTS,noise=alls=60:allf=t,format=yuv420p"),
            *("-t", str(CHUNK_SECONDS), "-c:v", "libx264", "-preset", "ultrafast", "-g", "24"),
            *("-b:v", rate, "-minrate", rate, "-maxrate", rate, "-bufsize", rate),
        )

    async def _picture_of(self, chunk: Path, target: Path) -> None:
        await self._ffmpeg_to(
            target, "-ss", "1", "-i", str(chunk), "-frames:v", "1", "-update", "1", "-s", "320x180"
        )

    async def _combine(self) -> None:
        chunks = sorted(self._session.glob("*/video/*.mp4"))
        listing = "".join(f"file 'file:{chunk}'\n" for chunk in chunks).encode()
        target = self._session / "combined" / "lesson.mp4"
        source = ("-f", "concat", "-safe", "0", "-protocol_whitelist", "file,pipe", "-i", "pipe:0")
        await self._ffmpeg_to(target, *source, "-c", "copy", stdin=listing)
        words = tuple(line for picture in LESSON for line in picture.lines)
        self._write(target.with_name("lesson.vtt"), subtitles(words))

    def _manifest(self) -> dict[str, object]:
        return {
            "project": PROJECT,
            "session": SESSION,
            "scenes": [{"id": p.scene, "chunks": CHUNKS, "seconds": CHUNKS * CHUNK_SECONDS} for p in LESSON],
            "files": [{"path": f.path, "size": f.size_bytes} for f in self.files],
        }

    async def _ffmpeg_to(self, target: Path, *args: str, stdin: bytes = b"") -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        await _run([self._ffmpeg, "-y", "-nostats", "-loglevel", "error", *args, str(target)], stdin=stdin)
        self._finished(target)

    def _write(self, target: Path, text: str) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
        self._finished(target)

    def _finished(self, target: Path) -> None:
        stat = target.stat()
        path = target.relative_to(self._root).as_posix()
        done = Rendered(path=path, size_bytes=stat.st_size, written_ms=stat.st_mtime_ns / 1e6)
        self.files.append(done)
        self._on_file(done)


async def _run(argv: Sequence[str], *, stdin: bytes) -> None:
    tied: Iterable[str] = [sys.executable, "-ISE", tether.__file__, str(os.getpid()), *argv]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *tied, stdin=pipe, stdout=asyncio.subprocess.DEVNULL, stderr=pipe, process_group=0
    )
    try:
        _, errors = await process.communicate(stdin)
    except BaseException:
        process.kill()
        await process.wait()
        raise
    if process.returncode:
        raise ServerError(
            f"ffmpeg ended with status {process.returncode}: {errors.decode(errors='replace').strip()}"
        )

"""Files that ffmpeg is still writing."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import imageio_ffmpeg

from tests.support.processes import holds
from tests.support.system import System, eventually

MIB = 1024 * 1024


def ffmpeg(path: Path, *, seconds: int, realtime: bool, megabits: int = 80) -> subprocess.Popen[bytes]:
    """Begin to render noise, which does not compress, at a bit rate."""
    path.parent.mkdir(parents=True, exist_ok=True)
    speed = ["-re"] if realtime else []
    source = f"nullsrc=s=640x360:r=25:d={seconds},geq=random(1)*255:128:128"
    rate = f"{megabits}M"
    argv = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *speed, "-f", "lavfi", "-i", source]
    coding = ["-c:v", "mpeg4", "-b:v", rate, "-minrate", rate, "-qmin", "1", "-qmax", "1", "-y", str(path)]
    return subprocess.Popen([*argv, *coding], stdin=subprocess.DEVNULL)


def test_a_growing_mp4_is_never_visible_before_it_is_complete(system: System) -> None:
    """And what arrives is what ffmpeg left."""
    system.start()
    path = system.root / "demo/lesson/s1/video/c1.mp4"
    render = ffmpeg(path, seconds=6, realtime=True)
    while render.poll() is None:
        if system.keys():  # it may have closed the film and not have ended yet
            assert not holds(render.pid, path)
        time.sleep(0.1)
    assert render.returncode == 0
    system.wait_settled(synced=1)
    system.check({"c1.mp4": path.read_bytes()})


def test_a_killed_encoder_ships_nothing_and_explain_says_why(system: System) -> None:
    """A torn MP4 has an mdat box without a size."""
    system.start()
    path = system.root / "demo/lesson/s1/video/c1.mp4"
    render = ffmpeg(path, seconds=60, realtime=True)
    eventually("it grows", lambda: path.exists() and path.stat().st_size > MIB)
    os.kill(render.pid, signal.SIGKILL)
    render.wait()
    eventually("explain says why", lambda: "mdat" in str(system.explain(path)))
    assert system.keys() == []
    assert system.status()["transfers"]["ready"] == 0

"""Encoders at work: whatever they have written at any moment is what SIGKILL at that moment leaves."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sidecar.watch.formats.base import Completeness
from sidecar.watch.formats.detect import judge

from .conftest import FFMPEG, picture
from .corpus import AV1, FRAGMENTS, VP8, X264

FILMS = {
    "plain.mp4": X264,
    "faststart.mp4": (*X264, "-movflags", "+faststart"),
    "plain.mov": X264,
    "plain.mkv": X264,
    "cues_first.mkv": (*X264, "-cues_to_front", "1"),
    "plain.webm": VP8,
    "moving.webp": ("-c:v", "libwebp_anim"),
    "moving.apng": (),
}
FRAGMENTED = {
    "recording.mp4": (*X264, "-movflags", FRAGMENTS),
    "hybrid.mp4": (*X264, "-movflags", "hybrid_fragmented"),
}
STILLS = {
    "still%02d.png": ("-frames:v", "10"),
    "still%02d.jpg": ("-frames:v", "10"),
    "still.avif": ("-frames:v", "1", *AV1),
}
STOPS_MIN = 20
LATE = {"moving.webp": 1, "moving.apng": 8}  # bytes


@contextmanager
def running(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program; it does not outlive a test that fails while it is held."""
    with subprocess.Popen(command) as process:
        try:
            yield process
        finally:
            process.kill()


def stops(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Hold a process at many moments of its life, until it has ended."""
    while process.poll() is None:
        process.send_signal(signal.SIGSTOP)
        state = os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        if state is not None and state.si_code == os.CLD_STOPPED:
            yield
        process.send_signal(signal.SIGCONT)
        time.sleep(0.004)  # how long it may work between two looks


def changed(before: bytes, after: bytes) -> int:
    """Count the bytes in which two contents differ."""
    return abs(len(after) - len(before)) + sum(a != b for a, b in zip(before, after, strict=False))


def test_no_moment_of_an_encoders_work_is_complete_but_its_last(tmp_path: Path) -> None:
    """What is called complete is what the encoder leaves in the end; only fragments ever settle."""
    outputs = [[*options, tmp_path / name] for name, options in (FILMS | FRAGMENTED | STILLS).items()]
    arguments = [argument for output in outputs for argument in ("-flush_packets", "1", *output)]
    command = [FFMPEG, "-nostdin", "-loglevel", "error", *picture(2, size="160x90"), *map(str, arguments)]
    seen: dict[str, set[Completeness]] = {}
    called_complete: dict[str, bytes] = {}
    count = 0
    with running(command) as process:
        for _ in stops(process):
            count += 1
            for path in tmp_path.iterdir():
                with path.open("rb") as file:
                    shape = judge(file.fileno(), path.name).completeness
                    seen.setdefault(path.name, set()).add(shape)
                    if shape is Completeness.COMPLETE and path.name not in called_complete:
                        called_complete[path.name] = file.read()
    assert process.returncode == 0
    assert count >= STOPS_MIN
    assert {name for name, shapes in seen.items() if Completeness.UNKNOWN in shapes} <= set(FRAGMENTED)
    assert {name for name in FILMS | FRAGMENTED if Completeness.INCOMPLETE not in seen[name]} == set()
    late = {
        name: changed(content, (tmp_path / name).read_bytes()) for name, content in called_complete.items()
    }
    # How often it plays, and how many frames it has, are written into the front after the end mark.
    assert {name: count for name, count in late.items() if count}.items() <= LATE.items()

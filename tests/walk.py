"""Which files and functions a reader meets who follows one small MP4 through the daemon.

    python -m tests.walk [--json]

A real daemon, SeaweedFS and the real Convex functions. What runs without the film is left out: what the
daemon calls while it starts and while it idles. A *return* is a file that was left before. Threads run side
by side, so the order of some steps, and with it the number of returns, differs by a few from run to run.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from sidecar.local.convex_server import ConvexServer
from sidecar.local.renderer import find_ffmpeg
from sidecar.local.seaweed import SeaweedServer

from .support.system import System, eventually, write
from .support.tracer import PIPE

FILE = "project/lesson/intro/video/film.mp4"
IDLE_SECONDS = 10.0  # heartbeats, markers, watermarks: all that comes round in a few seconds
Step = tuple[str, str]  # a file below the package, and a function in it


class TracedSystem(System):
    """A daemon that notes its functions, in a process of its own from the beginning."""

    module = "tests.support.tracer"
    fresh = True

    def start_traced(self) -> None:
        """Start it, and wait until it is ready."""
        self._pipe = self.folder / "phases"
        os.mkfifo(self._pipe)
        self.settings["watch"][0]["rescan"] = "1h"
        self.env |= {PIPE: str(self._pipe), "PYTHONPATH": str(Path(__file__).parents[1])}
        self.start()

    def end_phase(self, name: str) -> list[Step]:
        """Return what was called since the last one ended, in the order of the first calls."""
        file = self.folder / f"{name}.json"
        with self._pipe.open("w") as pipe:
            pipe.write(f"{file}\n")
        eventually(f"the tracer has written {file.name}", file.exists)
        return [(where, function) for where, function in json.loads(file.read_text())]


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """A file's way: functions in the order of their first calls."""

    steps: tuple[Step, ...]

    def visits(self) -> list[tuple[str, list[str]]]:
        """Return the files in turn, each with the functions that are called before another file's."""
        return [(file, [name for _, name in some]) for file, some in groupby(self.steps, lambda one: one[0])]

    def numbers(self) -> dict[str, int]:
        """Count files, functions, and returns to a file already left."""
        files = {file for file, _ in self.steps}
        return {
            "files": len(files),
            "functions": len(self.steps),
            "returns": len(self.visits()) - len(files),
        }


def walk(system: TracedSystem, film: bytes, *, idle_seconds: float) -> Walk:
    """Ship one file through a daemon that is not started yet; return its way."""
    path = system.root / FILE
    path.parent.mkdir(parents=True)
    system.start_traced()
    others = set(system.end_phase("start"))
    time.sleep(idle_seconds)
    others.update(system.end_phase("idle"))
    write(path, film)
    eventually("the film is delivered", lambda: _is_delivered(system), seconds=60)
    return without(others, system.end_phase("film"))


def without(others: Iterable[Step], steps: Iterable[Step]) -> Walk:
    """Return what is left of a way without what runs anyway."""
    known = set(others)
    return Walk(steps=tuple(step for step in steps if step not in known))


def _is_delivered(system: System) -> bool:
    """Look into the log: asking the daemon would be on the way."""
    return any("delivered" in line and FILE in line for line in system.log.read_text().splitlines())


def small_film(folder: Path) -> bytes:
    """Return one second of ffmpeg's test picture."""
    path = folder / "film.mp4"
    picture = ("-f", "lavfi", "-i", "testsrc=duration=1:size=64x64:rate=5")
    subprocess.run([find_ffmpeg(), "-loglevel", "error", *picture, path], check=True)
    return path.read_bytes()


@contextmanager
def local_system() -> Iterator[TracedSystem]:
    """Start the two servers, for a daemon."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="walk-")))
        s3, convex = stack.enter_context(SeaweedServer()), stack.enter_context(ConvexServer(dev_auth=True))
        system = TracedSystem(folder, s3, convex)
        try:
            yield system
        finally:
            if system.process:
                system.stop()


def told(way: Walk) -> list[str]:
    """Return the lines for a reader."""
    lines, left = list[str](), set[str]()
    for file, functions in way.visits():
        lines.append(f"{file}{' (again)' if file in left else ''}")
        lines += [f"    {function}" for function in functions]
        left.add(file)
    numbers = ", ".join(f"{count} {what}" for what, count in way.numbers().items())
    return [*lines, "", f"{numbers} to a file already left"]


def main(words: Sequence[str] | None = None) -> int:
    """Print the way of one film."""
    parser = argparse.ArgumentParser(prog="python -m tests.walk", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print numbers and way as one JSON document")
    parser.add_argument("--idle", type=float, default=IDLE_SECONDS, metavar="SECONDS", help="before the film")
    given = parser.parse_args(words)
    with local_system() as system:
        way = walk(system, small_film(system.folder), idle_seconds=given.idle)
    text = json.dumps({**way.numbers(), "way": way.steps}, indent=1) if given.json else "\n".join(told(way))
    sys.stdout.write(f"{text}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

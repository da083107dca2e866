"""A daemon whose statements, hops and reads are counted; its Convex only acknowledges."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import cast

from sidecar.local.bench.data import OF_A_SCENE, film, known_as, place, thumbnail
from sidecar.local.bench.stub import ConvexStub
from sidecar.local.convex_server import ConvexServer
from sidecar.local.seaweed import SeaweedServer

from .counter import PIPE
from .system import System, eventually, write

SMALL_BYTES, THUMBNAIL_BYTES, MIB = 32 * 1024, 50 * 1024, 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """One phase: how often each statement began and each hop was made, how many bytes were read.

    ``calls``: of ``sidecar:applyAssets``.
    """

    statements: Mapping[str, int]
    hops: Mapping[str, int]
    read_bytes: int
    calls: int

    def each(self, files: int) -> dict[str, float]:
        """Return statements, hops and calls for each file."""
        return {
            "statements": sum(self.statements.values()) / files,
            "hops": sum(self.hops.values()) / files,
            "calls": self.calls / files,
        }


class CountedSystem(System):
    """A daemon in a process of its own from the beginning."""

    module = "tests.support.counter"
    fresh = True

    def __init__(self, folder: Path, s3: SeaweedServer, stub: ConvexStub) -> None:
        """Nothing runs yet."""
        super().__init__(folder, s3, cast("ConvexServer", stub))  # of which the address alone is used
        self._stub = stub
        self._phase, self._read, self._called = 0, 0, 0

    def start_counted(self) -> None:
        """Start it, and wait until it is ready."""
        self._pipe = self.folder / "phases"
        os.mkfifo(self._pipe)
        self.settings["watch"][0]["rescan"] = "1h"
        self.env |= {PIPE: str(self._pipe), "PYTHONPATH": str(Path(__file__).parents[2])}
        self.start()
        self.end_phase()

    def end_phase(self) -> Counts:
        """Return what was counted since the last one ended."""
        self._phase += 1
        file = self.folder / f"phase-{self._phase}.json"
        with self._pipe.open("w") as pipe:
            pipe.write(f"{file}\n")
        eventually(f"{file.name} is written", file.exists)
        read, self._read = self._read, self._read_bytes()
        called, self._called = self._called, self._stub.calls["applyAssets"]
        counted = json.loads(file.read_text())
        return Counts(**counted, read_bytes=self._read - read, calls=self._called - called)

    def burst(self, files: int) -> Counts:
        """Let a folder with so many small films appear at once; return what they took."""
        aside = self.folder / "aside"
        for n in range(files):
            write(aside / place(n, "video", "mp4", session="burst"), b"".join(film(SMALL_BYTES)))
        self.end_phase()
        target = self.root / "demo" / "burst"
        target.parent.mkdir(exist_ok=True)
        (aside / "demo" / "burst").rename(target)
        eventually("the burst is delivered", lambda: self._delivered("/burst/") == files, seconds=300)
        return self.end_phase()

    def trickle(self, files: int) -> Counts:
        """Let so many thumbnails appear, each when the one before is delivered; return what they took."""
        self.end_phase()
        for n in range(files):
            path = self.root / place(n * OF_A_SCENE, "thumbnails", "png", session="trickle")
            write(path, thumbnail(THUMBNAIL_BYTES))
            eventually("it is delivered", partial(self._are_delivered, "/trickle/", n + 1))
        return self.end_phase()

    def large(self, size: int) -> Counts:
        """Let one film appear that is sent in parts; return what it took.

        Another one comes before it: with the first the client library is loaded, whose files are read, too.
        """
        for n in range(2):
            path = self.folder / "film.mp4"
            path.write_bytes(b"".join(film(size)))
            self.end_phase()
            target = self.root / place(n, "video", "mp4", session="large")
            target.parent.mkdir(parents=True, exist_ok=True)
            path.rename(target)
            eventually("it is delivered", partial(self._are_delivered, "/large/", n + 1))
            assert known_as(target) in self._stub.acknowledged
        return self.end_phase()

    def _are_delivered(self, where: str, count: int) -> bool:
        return self._delivered(where) == count

    def _delivered(self, where: str) -> int:
        """Look into the log: asking the daemon would be counted."""
        lines = self.log.read_text().splitlines()
        return sum('"delivered"' in line and where in line for line in lines)

    def _read_bytes(self) -> int:
        """Return what its read calls have brought: of the files, and next to nothing besides."""
        assert self.process
        said = Path(f"/proc/{self.process.pid}/io").read_text().splitlines()
        return int(said[0].removeprefix("rchar:"))

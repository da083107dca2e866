"""Builds the shim, and is the other reader of its board: where to kill, what fails, what was counted."""

from __future__ import annotations

import mmap
import os
import shutil
import struct
import subprocess
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from pathlib import Path

SOURCE = Path(__file__).with_name("shim.c")
FIELDS = (
    *("count", "kill_at", "kill_how", "killed"),
    *("fail_with", "fail_targets", "fail_groups", "fail_from", "fail_times", "matching", "failed"),
)
WHERE_BYTES = 64
SHORT = -1  # instead of an errno: half of the bytes are done, and the call says so


class How(IntEnum):
    """When the N-th effect kills; of calls without bytes, TORN is AFTER."""

    BEFORE = 1
    AFTER = 2
    TORN = 3


class Target(IntFlag):
    """On what calls fail."""

    JOURNAL = 1
    ROOT = 2
    REMOTE = 4


class Group(IntFlag):
    """Which calls fail."""

    WRITE = 1
    SYNC = 2
    NAME = 4
    READ = 8
    OPEN = 16


@dataclass(frozen=True, slots=True)
class Kill:
    """Die at the N-th effect of a life."""

    at: int
    how: How


def compiler() -> str | None:
    """Return a C compiler, where there is one."""
    return shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")


def build(folder: Path, source: Path = SOURCE) -> Path:
    """Compile a shim into a folder."""
    library = folder / f"{source.stem}.so"
    command = [compiler() or "cc", "-shared", "-fPIC", "-O2", "-o", str(library), str(source), "-ldl"]
    subprocess.run(command, check=True)
    return library


class Board:
    """The file that a test and one life of the daemon both map."""

    def __init__(self, path: Path) -> None:
        """Make it, all zero: nothing is killed, nothing fails."""
        self.path = path
        self._size = 8 * len(FIELDS) + WHERE_BYTES
        path.write_bytes(bytes(self._size))
        fd = os.open(path, os.O_RDWR)
        try:
            self._map = mmap.mmap(fd, self._size)
        finally:
            os.close(fd)

    def close(self) -> None:
        """Let the file go."""
        self._map.close()

    def begin(self, kill: Kill | None) -> None:
        """Prepare a life: count from 0, die as told. What fails goes on failing."""
        self["count"] = self["killed"] = 0
        self["kill_at"], self["kill_how"] = (kill.at, kill.how) if kill else (0, 0)

    def fail(self, error: int, *, on: Target, calls: Group, first: int = 1, times: int = -1) -> None:
        """From the ``first`` matching call on, ``times`` calls fail (-1: until ``free``)."""
        self["fail_with"] = 0
        self["matching"] = self["failed"] = 0
        self["fail_targets"], self["fail_groups"] = on, calls
        self["fail_from"], self["fail_times"] = first, times
        self["fail_with"] = error

    def free(self) -> None:
        """Nothing fails any more."""
        self["fail_with"] = 0

    @property
    def where(self) -> str:
        """The call that was killed."""
        return self._map[8 * len(FIELDS) :].split(b"\0")[0].decode()

    def __getitem__(self, field: str) -> int:
        """Read a number."""
        (value,) = struct.unpack_from("q", self._map, 8 * FIELDS.index(field))
        return int(value)

    def __setitem__(self, field: str, value: int) -> None:
        """Write a number."""
        struct.pack_into("q", self._map, 8 * FIELDS.index(field), value)

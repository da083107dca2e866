"""A line with a round trip: ``delay.c`` compiled at its first use; without a compiler plain Python."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sidecar.local.child import Child, neutral_environment, wait
from sidecar.local.ports import LOOPBACK, free_port

START_SECONDS = 20.0
_SOURCE = Path(__file__).with_name("delay.c")
_COMPILERS = ("cc", "gcc", "clang")


class Lines:
    """Makes lines; ``note`` says how, where that is worse than it could be."""

    def __init__(self, folder: Path) -> None:
        """Compile into a folder when the first line is made."""
        self.note: str | None = None
        self._folder = folder
        self._command: list[str | Path] | None = None

    @contextmanager
    def to(self, port: int, rtt_ms: int) -> Iterator[int]:
        """Run a line to a port of this machine; yields the port where it begins."""
        if not rtt_ms:
            yield port
            return
        if self._command is None:
            self._command = self._made()
        begins = free_port()
        child = Child(
            name="the delay proxy",
            argv=[*self._command, str(begins), str(port), str(rtt_ms)],
            log=self._folder / "delay.log",
            env=neutral_environment(),
        )
        child.start()
        try:
            wait(child.until(lambda: _listens(begins), timeout_seconds=START_SECONDS))
            yield begins
        finally:
            child.kill()

    def _made(self) -> list[str | Path]:
        program = self._folder / "delay"
        for compiler in filter(shutil.which, _COMPILERS):
            tried = subprocess.run(
                [compiler, "-O2", "-o", program, _SOURCE], capture_output=True, text=True, check=False
            )
            if tried.returncode == 0:
                return [program]
        self.note = "no C compiler: the delay proxy is Python and takes much of a core (apt install gcc)"
        return [sys.executable, "-m", "sidecar.local.bench.slow_line"]


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((LOOPBACK, port)) == 0

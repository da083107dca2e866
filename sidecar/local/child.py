"""A server process of ours: quiet, in a process group of its own, tied to this process, ended by pid.

A process group of its own, so that Ctrl-C reaches this process alone, which then ends its children
in the right order.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from . import tether

POLL_SECONDS = 0.05
STOP_SECONDS = 5.0
_TAIL_LINES = 15


class ServerError(Exception):
    """A server did not start or did not stay; the message ends with the tail of its log."""


@dataclass(slots=True, kw_only=True)
class Child:
    """A named command whose output goes to ``log``. Start it in a thread that lives as long as it should."""

    name: str
    argv: Sequence[str | Path]
    log: Path
    env: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    cwd: Path | None = None
    _process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self._process.pid if self._process and self.running else None

    @property
    def running(self) -> bool:
        """Whether the process has been started and has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def returncode(self) -> int | None:
        """The exit status, None while it runs or before it was started."""
        return self._process.poll() if self._process else None

    def start(self) -> None:
        """Start the process. Raises ServerError if the program cannot be started."""
        tied = [sys.executable, "-ISE", tether.__file__, str(os.getpid()), *map(str, self.argv)]
        try:
            with self.log.open("ab") as output:
                self._process = subprocess.Popen(
                    tied,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env=self.env,
                    cwd=self.cwd,
                    process_group=0,
                )
        except OSError as error:
            raise ServerError(f"cannot start {self.name}: {error}") from error

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process group, if it still runs."""
        if (pid := self.pid) is not None:
            os.killpg(pid, number)

    def kill(self) -> None:
        """End it at once, as a crash would, and collect it."""
        self.signal(signal.SIGKILL)
        if self._process:
            self._process.wait()

    def stop(self, *, grace_seconds: float = STOP_SECONDS) -> int | None:
        """Ask it to end, kill it after ``grace_seconds``; return its exit status."""
        self.signal(signal.SIGTERM)
        if self._process is None:
            return None
        try:
            return self._process.wait(timeout=grace_seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            return self._process.returncode

    def tail(self) -> str:
        """Return the last lines of its log."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join(lines[-_TAIL_LINES:])

    def until(self, answers: Callable[[], bool], *, timeout_seconds: float) -> Iterator[None]:
        """Yield whenever it is time to wait ``POLL_SECONDS``, until the server ``answers``.

        So one piece of code serves callers with and without an event loop. Raises ServerError when
        the server ends first or the time is up.
        """
        deadline = time.monotonic() + timeout_seconds
        while not answers():
            if not self.running:
                raise ServerError(f"{self.name} ended with status {self.returncode}:\n{self.tail()}")
            if time.monotonic() > deadline:
                raise ServerError(f"{self.name} did not answer within {timeout_seconds:g} s:\n{self.tail()}")
            yield


def neutral_environment() -> dict[str, str]:
    """Return our environment without what would reach into a server's settings, or around this machine."""
    foreign = ("SIDECAR_", "AWS_", "NODE_")
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(foreign) and not name.lower().endswith("_proxy")
    }


def wait(steps: Iterator[None]) -> None:
    """Run steps to their end, waiting at each."""
    for _ in steps:
        time.sleep(POLL_SECONDS)


async def wait_async(steps: Iterator[None]) -> None:
    """Do the same on an event loop; each step itself must be short."""
    for _ in steps:
        await asyncio.sleep(POLL_SECONDS)

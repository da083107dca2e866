"""Daemons that are forked from a parent which has imported everything: ``nursery.py`` seen from a test."""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from sidecar.local.child import Child, neutral_environment, wait

POLL_SECONDS = 0.01
READY_SECONDS = WAIT_SECONDS = 60.0


class Nursery:
    """A parent of daemons. It ends with this process."""

    def __init__(self, folder: Path, *, env: Mapping[str, str] | None = None) -> None:
        """Keep socket and log in ``folder``; ``env`` is added to its environment and its daemons'."""
        self._env = dict(env or {})
        self._address = folder / "nursery.sock"
        self._child = Child(
            name="the nursery",
            argv=[sys.executable, "-m", "tests.support.nursery", self._address],
            log=folder / "nursery.log",
            env=neutral_environment() | self._env,
            cwd=Path(__file__).parents[2],
        )

    def open(self) -> None:
        """Start the parent, and wait until it has imported everything."""
        self._child.start()
        wait(self._child.until(self._address.exists, timeout_seconds=READY_SECONDS))

    def close(self) -> None:
        """End it, and all its children."""
        self._child.kill()

    def start(
        self,
        config: Path,
        log: Path,
        *,
        env: Mapping[str, str],
        module: str = "sidecar",
        limits: Mapping[str, int] | None = None,
    ) -> Forked:
        """Start a daemon. ``env`` is added to its environment, ``module`` is imported first.

        ``limits``: files_max, watches_max.
        """
        environ = {**neutral_environment(), **self._env, **env}
        order = {"config": str(config), "log": str(log), "env": environ, "module": module}
        return Forked(self._address, {**order, **(limits or {})})


@functools.cache
def shared() -> Nursery:
    """Return this process's one."""
    folder = Path(tempfile.mkdtemp(prefix="nursery-"))
    nursery = Nursery(folder)
    nursery.open()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    atexit.register(nursery.close)
    return nursery


class Forked:
    """One process, used as a ``subprocess.Popen``."""

    def __init__(self, address: Path, order: Mapping[str, object]) -> None:
        self.returncode: int | None = None
        self._connection = socket.socket(socket.AF_UNIX)
        self._connection.connect(str(address))
        self._connection.sendall(json.dumps(order).encode() + b"\n")
        with self._connection.makefile("r") as answers:
            self.pid = int(answers.readline())
        self._connection.setblocking(False)  # noqa: FBT003 - the socket's own signature

    def poll(self) -> int | None:
        """Return the exit status (negative: the signal), None while it runs."""
        if self.returncode is None:
            with contextlib.suppress(BlockingIOError):
                self.returncode = int(self._connection.recv(64) or b"-9")
                self._connection.close()
        return self.returncode

    def wait(self, timeout: float = WAIT_SECONDS) -> int:
        """Wait for its end; return its status. Raises subprocess.TimeoutExpired."""
        deadline = time.monotonic() + timeout
        while (status := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("sidecar run", timeout)
            time.sleep(POLL_SECONDS)
        return status

    def send_signal(self, number: int) -> None:
        """Send a signal; nothing where it has ended."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """End it as a crash would."""
        self.send_signal(signal.SIGKILL)

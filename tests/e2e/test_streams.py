"""A daemon whose standard streams fail, and one that is told to end before it has begun."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from sidecar.local.child import neutral_environment
from tests.support.system import System, eventually, write

FILES = 40
Process = subprocess.Popen[bytes]
Streams = tuple[int, Callable[[Process], None]]  # what stdout and stderr are; what happens once it runs


def nobody_reads() -> Streams:
    """A full pipe: a logging driver that hangs."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    os.set_inheritable(reader, True)  # noqa: FBT003 - os' own signature; else it would end with this process
    return writer, lambda _: None


def the_reader_is_gone() -> Streams:
    """A closed pipe."""
    reader, writer = os.pipe()
    os.close(reader)
    return writer, lambda _: None


def the_disk_is_full() -> Streams:
    """As of a log file."""
    return os.open("/dev/full", os.O_WRONLY), lambda _: None


def the_terminal_hangs_up() -> Streams:
    """While it runs; the kernel says so by a signal, too."""
    master, slave = pty.openpty()

    def hang_up(process: Process) -> None:
        os.close(master)
        process.send_signal(signal.SIGHUP)

    return slave, hang_up


@contextlib.contextmanager
def running(system: System, output: int, prefix: Sequence[str] = ()) -> Iterator[Process]:
    """Run the daemon in a session of its own."""
    command = [*prefix, sys.executable, "-m", "sidecar", "run", "--config", str(system.write_config())]
    process = subprocess.Popen(
        command, stdout=output, stderr=output, env=neutral_environment(), start_new_session=True
    )
    system.process = process
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    ("streams", "trouble"),
    [
        (nobody_reads, "nobody reads it"),
        (the_reader_is_gone, "Broken pipe"),
        (the_disk_is_full, "No space left on device"),
        (the_terminal_hangs_up, "Input/output error"),
    ],
)
def test_it_ships_on_and_says_what_is_wrong_with_its_log(
    system: System, streams: Callable[[], Streams], trouble: str
) -> None:
    """Every file arrives, /status names it, nothing is degraded, and with nothing owed the status is 0."""
    output, happens = streams()
    with running(system, output) as process:
        os.close(output)
        eventually("the daemon is ready", system._ready)
        happens(process)
        files = {
            f"demo/lesson/s{n}/source/x.py": write(system.root / f"demo/lesson/s{n}/source/x.py", b"%d\n" % n)
            for n in range(FILES)
        }
        assert eventually("all is synced, and it is told", lambda: told(system)) == [trouble, "ok"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(40) == 0
    system.check(files)


def told(system: System) -> list[str] | None:
    """Return the log's trouble and the state, once all is synced; a hang-up is a reload, too."""
    with contextlib.suppress(OSError):
        status = system.status()
        trouble = status["log"]["trouble"]
        return [trouble, status["state"]] if status["transfers"]["synced"] == FILES and trouble else None
    return None


def handles(pid: int, number: int) -> bool:
    """Tell whether a process has a handler for a signal."""
    with contextlib.suppress(FileNotFoundError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("SigCgt:"):
                return bool(int(line.split()[1], 16) >> (number - 1) & 1)
    return False


def log_of(system: System) -> list[dict[str, Any]]:
    """Return the events that were logged."""
    return [json.loads(line) for line in system.log.read_text().splitlines() if line.startswith("{")]


@pytest.mark.parametrize("as_pid_1", [False, True])
def test_a_sigterm_in_the_first_moments_is_heard(system: System, as_pid_1: bool) -> None:
    """Long before there is a loop: what lies there is shipped, and the end is a clean one."""
    if as_pid_1 and (os.geteuid() != 0 or shutil.which("unshare") is None):
        pytest.skip("a pid namespace needs root and unshare")
    prefix = ["unshare", "-p", "-f", "--kill-child", "--mount-proc"] if as_pid_1 else []
    data = write(system.root / "demo/lesson/s1/source/x.py", b"x = 1\n")
    output = os.open(system.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    with running(system, output, prefix) as process:
        os.close(output)

        def daemon() -> int | None:
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            pids = [int(pid) for pid in children] if as_pid_1 else [process.pid]
            return next((pid for pid in pids if handles(pid, signal.SIGTERM)), None)

        os.kill(eventually("it handles signals", daemon) or 0, signal.SIGTERM)
        assert process.wait(60) == 0
    system.check({"x.py": data})
    assert [one["event"] for one in log_of(system)][-1] == "stopped"

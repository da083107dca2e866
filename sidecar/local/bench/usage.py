"""What processes use: wall time, CPU and memory of one and its children, and of nobody else."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sidecar.local.child import ServerError

SAMPLE_SECONDS = 0.05
_FAMILY_SECONDS = 0.5  # between two looks for children: looking at every thread takes long
LIMIT_SECONDS = 3600.0
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES, _KIB, _MIB = os.sysconf("SC_PAGE_SIZE"), 1024, 1024 * 1024
_TAIL = 1500


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Seconds of the clock and of the processors, and the most memory at any moment in MiB."""

    wall: float
    cpu: float
    rss: float

    def figures(self) -> dict[str, float]:
        """Return it by name."""
        return {"wall": self.wall, "cpu": self.cpu, "rss": self.rss}


class PeakMemory:
    """Watches a process and its children for the most memory that they hold together."""

    def __init__(self, pid: int, *, since_start: bool = False) -> None:
        """Begin. ``since_start``: with what one process alone held between two looks, too."""
        self.mib = 0.0
        self._pid, self._since_start = pid, since_start
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="bench-memory", daemon=True)
        self._thread.start()

    def end(self) -> float:
        """End, and return the most."""
        self._ended.set()
        self._thread.join()
        return self.mib

    def _watch(self) -> None:
        family, looked = [self._pid], 0.0
        while True:
            if time.monotonic() > looked + _FAMILY_SECONDS:
                family, looked = tree(self._pid), time.monotonic()
            alone = most_mib(self._pid) if self._since_start else 0.0
            self.mib = max(self.mib, alone, sum(map(resident_mib, family)))
            if self._ended.wait(SAMPLE_SECONDS):
                return


def run(argv: Sequence[str | Path], *, env: Mapping[str, str], log: Path) -> Usage:
    """Run a program to its end. Raises ServerError if it fails, with the end of what it printed.

    Its CPU time is what the kernel adds up for it and the children it waited for.
    """
    with log.open("ab") as output:
        began = time.monotonic()
        process = subprocess.Popen(
            [str(word) for word in argv], env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            process_group=0,
        )  # fmt: skip
    memory = PeakMemory(process.pid, since_start=True)
    limit = threading.Timer(LIMIT_SECONDS, os.killpg, (process.pid, signal.SIGKILL))
    limit.start()
    try:
        _, status, used = os.wait4(process.pid, 0)
        wall = time.monotonic() - began
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    finally:
        limit.cancel()
        peak = memory.end()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        said = log.read_text(errors="replace")[-_TAIL:].strip()
        raise ServerError(f"{Path(argv[0]).name} ended with status {process.returncode}: {said}")
    return Usage(wall=wall, cpu=used.ru_utime + used.ru_stime, rss=peak)


def tree(pid: int) -> list[int]:
    """Return a process and its children's children."""
    found, look = [], [pid]
    while look:
        found.append(one := look.pop())
        try:
            for task in Path(f"/proc/{one}/task").iterdir():
                look += map(int, (task / "children").read_text().split())
        except OSError:
            continue  # it has ended
    return found


def cpu_seconds(pid: int) -> float:
    """Return what a process and its children have used, those that ended included."""
    own = _stat(pid)
    ended = sum(own[13:15])
    return (ended + sum(sum(_stat(one)[11:13]) for one in tree(pid))) / _TICKS


def resident_mib(pid: int) -> float:
    """Return what a process holds now."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES / _MIB
    except OSError:
        return 0.0  # it has ended


def most_mib(pid: int) -> float:
    """Return what a process held at most since its program was loaded."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    _, _, rest = status.partition("VmHWM:")
    return int(rest.split(None, 1)[0]) * _KIB / _MIB if rest else 0.0


def _stat(pid: int) -> list[int]:
    """Return the numbers behind the name in /proc/PID/stat; zeros for one that has ended."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return [0] * 20
    return [int(word) if word.lstrip("-").isdigit() else 0 for word in text.rpartition(")")[2].split()]

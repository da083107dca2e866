"""A journal of a million files: what its opening costs, what forgetting half of it does, a start with it.

    python -m tests.bench.journal prune FOLDER [FILES]
    python -m tests.bench.journal start FOLDER [FILES]

Not part of the test run. ``start`` makes the files, too: a folder in memory is quickest.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from sidecar.core.model import StatIdentity
from sidecar.journal.journal import Journal
from sidecar.local.bench.filling import MachineClock, fill, written
from sidecar.local.ports import free_port
from tests.support.journals import ROOT, TAG

T = TypeVar("T")
MILLION = 1_000_000
KEEP_MS, EVENTS_MS = 30 * 86_400_000, 7 * 86_400_000


def main() -> None:
    """Print figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.journal", description=__doc__)
    parser.add_argument("what", choices=["prune", "start"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("files", type=int, nargs="?", default=MILLION)
    given = parser.parse_args()
    given.folder.mkdir(parents=True)
    (prune if given.what == "prune" else start)(given.folder, given.files)


def prune(folder: Path, count: int) -> None:
    """Half of the files are gone, all events are old."""
    journal = opened(folder)
    looks = (
        (n, StatIdentity(inode=n, size_bytes=65536, mtime_ns=n, ctime_ns=n)) for n in range(1, count + 1)
    )
    timed("filled", lambda: fill(journal, ROOT, looks, gone=2))
    timed("closed", journal.close)
    journal = timed("opened", lambda: opened(folder))
    say("checked at once", journal.db.is_checked)
    sizes(folder, journal)
    now_ms = journal.db.clock.wall_ms()
    steps("transfers", lambda: journal.pruning.prune_transfers(now_ms=now_ms, keep_ms=KEEP_MS))
    steps("events", lambda: journal.pruning.prune_events(now_ms=now_ms, keep_ms=EVENTS_MS))
    steps("pages", journal.pruning.give_back)
    journal.db.checkpoint_wal()
    sizes(folder, journal)
    say("memory MiB", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
    journal.close()


def start(folder: Path, count: int) -> None:
    """All files lie in the folder as they were synced; neither remote answers."""
    root = folder / "renders"
    journal = opened(folder)
    timed("filled", lambda: fill(journal, str(root), written(root, count)))
    journal.close()
    for name in ("first start", "second start"):
        seconds, process = started(folder, root)
        said = Path(f"/proc/{process.pid}/status").read_text().splitlines()
        say(f"{name}: seconds to ready, of the processor", (round(seconds, 1), cpu_seconds(process.pid)))
        say(f"{name}: memory", next(line for line in said if line.startswith("VmRSS")).split(None, 1)[1])
        process.kill()
        process.wait()


def opened(folder: Path) -> Journal:
    """Open the journal of the folder."""
    return Journal(folder / "journal.db", tag=TAG, bucket="lessons", clock=MachineClock())


def started(folder: Path, root: Path) -> tuple[float, subprocess.Popen[bytes]]:
    """Start the daemon; return how long it took until it was ready."""
    port, config = free_port(), folder / "sidecar.yaml"
    settings = {
        "sidecar_id": "test-sidecar",
        "watch": [{"root": str(root)}],
        "s3": {
            "bucket": "lessons",
            "endpoint_url": f"http://127.0.0.1:{free_port()}",
            "access_key_id": "a",
            "secret_access_key": "s",
        },
        "convex": {"sync": "off"},
        "journal": {"path": str(folder / "journal.db")},
        "status": {"listen": f"127.0.0.1:{port}"},
    }
    config.write_text(json.dumps(settings))
    began = time.monotonic()
    with (folder / "daemon.log").open("ab") as output:
        command = [sys.executable, "-m", "sidecar", "run", "--config", str(config)]
        process = subprocess.Popen(command, stdout=output, stderr=output)
    while not is_ready(port):
        if process.poll() is not None:
            raise SystemExit((folder / "daemon.log").read_text()[-2000:])
        time.sleep(0.05)
    return time.monotonic() - began, process


def cpu_seconds(pid: int) -> float:
    """Return what a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return round((int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), 1)


def is_ready(port: int) -> bool:
    """Ask."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5):
            return True
    except (urllib.error.URLError, OSError):
        return False


def steps(name: str, step: Callable[[], object]) -> None:
    """Repeat a step until there is nothing left; print what the steps took, commits included."""
    walls, cpus, count = [0.0], [0.0], 0
    while True:
        wall, cpu = time.perf_counter(), time.process_time()
        looked = step()
        if not looked:
            break
        count += int(looked) if isinstance(looked, int) else 1
        walls.append((time.perf_counter() - wall) * 1000)
        cpus.append((time.process_time() - cpu) * 1000)
    for kind, times in (("wall", sorted(walls)), ("CPU", sorted(cpus))):
        say(
            f"{name}: {count} in {len(times) - 1} steps, {kind} ms",
            f"median {statistics.median(times):.1f}, p99 {times[int(len(times) * 0.99)]:.1f},"
            f" most {times[-1]:.1f}, in all {sum(times) / 1000:.1f} s",
        )


def sizes(folder: Path, journal: Journal) -> None:
    """Print what lies on the disk, and how much of it is free."""
    (free,) = journal.db.execute("PRAGMA freelist_count").fetchone()
    on_disk = sum(file.stat().st_size for file in folder.glob("journal.db*"))
    say("MB on disk, of these free", (round(on_disk / 1e6), round(free * 4096 / 1e6)))


def timed(name: str, work: Callable[[], T]) -> T:
    """Do something, and print how long it took."""
    began = time.monotonic()
    result = work()
    say(f"{name}: seconds", round(time.monotonic() - began, 2))
    return result


def say(name: str, value: object) -> None:
    """Print one figure."""
    print(f"{name:60} {value}", flush=True)  # noqa: T201 - its purpose


if __name__ == "__main__":
    main()

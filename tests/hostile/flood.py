"""Notice a flood in a process of its own, and print what it cost as JSON.

    python -m tests.hostile.flood FOLDER FILES FOLDERS

The whole watch stage over a real journal; every file becomes ready, which is read and remembered.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
from pathlib import Path

import structlog

from sidecar.core.clock import SystemClock
from sidecar.core.ids import sidecar_tag
from sidecar.journal.journal import Journal
from sidecar.journal.writer import JournalWriter
from sidecar.watch.ownership.fence import Fence
from tests.watch.conftest import build

POLL_SECONDS = 0.2


def make(root: Path, files: int, folders: int) -> None:
    """Fill one folder with files, and the root with folders that hold one file each."""
    wide = root / "p" / "s" / "wide" / "source"
    wide.mkdir(parents=True)
    for number in range(files):
        (wide / f"scene_{number:06}.py").write_bytes(b"x = %d\n" % number)
    for number in range(folders):
        deep = root / "p" / "s" / f"scene_{number:05}" / "source"
        deep.mkdir(parents=True)
        (deep / "scene.py").write_bytes(b"y = %d\n" % number)


def peak_bytes() -> int:
    """Return the most memory that was ever resident."""
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024


async def notice(folder: Path, total: int) -> dict[str, float]:
    """Run the stage until all are ready."""
    path, tag = folder / "state" / "journal.db", sidecar_tag("flood")
    journal = Journal(path, tag=tag, bucket="lessons", clock=SystemClock())
    async with JournalWriter(journal) as writer:
        before, began = peak_bytes(), time.monotonic()
        stage = build(folder, writer, Fence())
        task = asyncio.create_task(stage.run())
        while await writer.run(_ready) < total and not task.done():
            await asyncio.sleep(POLL_SECONDS)
        ready = await writer.run(_ready)
        task.cancel()
        await asyncio.wait({task})
    return {
        "ready": ready,
        "grown_mib": round((peak_bytes() - before) / 1024**2, 1),
        "peak_mib": round(peak_bytes() / 1024**2, 1),
        "seconds": round(time.monotonic() - began, 1),
    }


def _ready(journal: Journal) -> int:
    row = journal.db.execute("SELECT transfers FROM counts WHERE state = 'ready'").fetchone()
    return int(row["transfers"]) if row else 0


def main(folder: Path, files: int, folders: int) -> None:
    """Make, notice, print."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    make(folder / "renders", files, folders)
    print(json.dumps(asyncio.run(notice(folder, files + folders))))  # noqa: T201 - its parent reads it


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))

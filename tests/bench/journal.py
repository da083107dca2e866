"""A journal of a million files: its size, how long it takes to open, and what forgetting half of it costs.

``python -m tests.bench.journal FOLDER [ROWS]``; not part of the test run. The folder keeps what was filled.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

from sidecar.core.ids import transfer_id
from sidecar.core.model import EntityType
from sidecar.core.routing import object_key
from sidecar.journal.journal import Journal
from sidecar.journal.rows import route_json
from tests.support.clock import ManualClock
from tests.support.journals import ROOT, TAG, route

MILLION = 1_000_000
FILES, SCENES = 10, 50  # of a scene, of a session
DAY_MS = 86_400_000
EVENTS = ("discovered", "completed", "uploaded", "acknowledged")
_FILE = "INSERT INTO files VALUES (1, ?, ?, ?, 65536, ?, ?, ?, NULL, ?, ?)"
_TRANSFER = """
INSERT INTO transfers (id, transfer, root, folder, name, slot, session_id, entity_id, scene_id, asset_type,
  priority, route, state, bucket, key, inode, size, mtime_ns, ctime_ns, checksum, may_object, etag, version,
  discovered_ms, ready_ms, uploaded_ms, synced_ms, ended_ms)
VALUES (?, ?, 1, ?, ?, ?, ?, ?, ?, 'video_chunk', 3, ?, 'synced', 'lessons', ?, ?, 65536, ?, ?, ?, 1, ?, 1,
  ?, ?, ?, ?, ?)
"""


class RealClock(ManualClock):
    """Wall time stands still; steps are measured by the machine's."""

    def monotonic(self) -> float:
        """Seconds."""
        return time.monotonic()


def fill(journal: Journal, count: int) -> None:
    """Add so many synced files; every second one is gone since a year."""
    db, now = journal.db.conn, journal.clock.wall_ms()
    db.execute("PRAGMA synchronous = OFF")
    db.execute("INSERT INTO roots VALUES (1, ?)", [ROOT])
    for begin in range(1, count + 1, 20_000):
        numbers = range(begin, min(count + 1, begin + 20_000))
        rows = [_rows(n, now) for n in numbers]
        db.execute("BEGIN")
        db.executemany(_FILE, (file for file, _ in rows))
        db.executemany(_TRANSFER, (transfer for _, transfer in rows))
        db.executemany(
            "INSERT INTO events (at_ms, transfer, event, detail) VALUES (?, ?, ?, ?)", _events(rows, now)
        )
        scenes = {(transfer[5], transfer[6]) for _, transfer in rows}
        db.executemany(
            "INSERT OR IGNORE INTO scenes (session_id, scene_id, project_id, quiet) VALUES (?, ?, 'demo', 1)",
            scenes,
        )
        db.execute("COMMIT")


def _rows(n: int, now: int) -> tuple[tuple[object, ...], tuple[object, ...]]:
    scene = f"scene_{n // FILES:06}"
    session = f"demo/lesson-{n // FILES // SCENES:05}"
    name, folder = f"chunk_{n % FILES:03}.mp4", f"{session}/{scene}/video"
    at = replace(
        route(name, scene=scene),
        key=f"{session}/{scene}/video_chunk/chunk_{n % FILES:03}.{{transfer}}.mp4",
        slot=replace(route(name).slot, session_id=session, entity_type=EntityType.SCENE, entity_id=scene),
        entity_folder=folder,
    )
    gone, then = n % 2, now - 400 * DAY_MS + n
    transfer = transfer_id(wall_ms=then, chance=n.to_bytes(5), tag=TAG)
    mtime = then * 1_000_000
    file = (folder, name, n, mtime, mtime, at.slot.digest, n, 2 * gone)
    ended = now - 365 * DAY_MS + n if gone else None
    checksum, etag = f"crc64nvme:{n:011}=", f"{n:032x}"
    return file, (
        *(n, transfer, folder, name, at.slot.digest, session, scene, scene, route_json(at)),
        *(object_key(at, transfer), n, mtime, mtime, checksum, etag, then, then, then, then, ended),
    )


def _events(
    rows: list[tuple[tuple[object, ...], tuple[object, ...]]], now: int
) -> Iterator[tuple[object, ...]]:
    for _, transfer in rows:
        for event in EVENTS:
            detail = transfer[9] if event == "uploaded" else None
            yield now - 6 * DAY_MS, transfer[0], event, detail

"""A journal as it is after a long life: very many files that were synced a year ago."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from sidecar.core.ids import transfer_id
from sidecar.core.model import Route, StatIdentity
from sidecar.core.presets import LESSON
from sidecar.core.routing import Router, object_key
from sidecar.core.rules import Ids, Root
from sidecar.journal.db.rows import route_json
from sidecar.journal.journal import Journal

FILES, SCENES = 100, 50  # of a scene, of a session
DAY_MS = 86_400_000
EVENTS = ("discovered", "completed", "uploaded", "acknowledged")
AT_ONCE = 20_000
Row = tuple[object, ...]
_FILE = """
INSERT INTO files (root, folder, name, inode, size, mtime_ns, ctime_ns, slot, transfer, absent)
VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_TRANSFER = """
INSERT INTO transfers (id, transfer, root, folder, name, slot, session_id, entity_id, scene_id, asset_type,
  priority, route, state, bucket, key, inode, size, mtime_ns, ctime_ns, checksum, may_object, etag, version,
  discovered_ms, ready_ms, uploaded_ms, synced_ms, ended_ms)
VALUES (?, ?, 1, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'synced', ?, ?, ?, ?, ?, ?, ?, 1, ?, 1,
  ?, ?, ?, ?, ?)
"""

_COUNTS = "INSERT OR REPLACE INTO counts SELECT state, count(*), sum(size) FROM transfers GROUP BY state"
_PRESENT = "INSERT OR REPLACE INTO present SELECT root, count(*) FROM files WHERE absent = 0 GROUP BY root"


class MachineClock:
    """The machine's."""

    def wall_ms(self) -> int:
        """Milliseconds since 1970."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Seconds."""
        return time.monotonic()


def place(n: int) -> tuple[str, str, str]:
    """Return session, scene and name of the n-th file."""
    scene = n // FILES
    return f"demo/lesson-{scene // SCENES:05}", f"scene_{scene:06}", f"chunk_{n % FILES:03}.mp4"


def path(n: int) -> str:
    """Return the n-th file's path below the root."""
    session, scene, name = place(n)
    return f"{session}/{scene}/video/{name}"


def written(root: Path, count: int, *, first: int = 1) -> Iterator[tuple[int, StatIdentity]]:
    """Make empty files, by number."""
    for n in range(first, first + count):
        file = root / path(n)
        if not file.parent.exists():
            file.parent.mkdir(parents=True)
        file.touch()
        found = file.stat()
        yield (
            n,
            StatIdentity(
                inode=found.st_ino,
                size_bytes=found.st_size,
                mtime_ns=found.st_mtime_ns,
                ctime_ns=found.st_ctime_ns,
            ),
        )


def fill(journal: Journal, root: str, files: Iterable[tuple[int, StatIdentity]], *, gone: int = 0) -> None:
    """Add synced files, by number; of each ``gone`` the last one is missing since a year (0: none)."""
    db, now = journal.db.conn, journal.db.clock.wall_ms()
    db.execute("PRAGMA synchronous = OFF")
    db.execute("INSERT OR IGNORE INTO roots (id, path) VALUES (1, ?)", [root])
    router = Router(roots=[Root(path=root)], rules=LESSON, ids=Ids())
    rows = (
        _rows(
            n,
            identity,
            now,
            at=_route(router, root, n),
            tag=journal.db.tag,
            is_gone=bool(gone) and n % gone == 0,
        )
        for n, identity in files
    )
    while batch := list(islice(rows, AT_ONCE)):
        db.execute("BEGIN")
        db.executemany(_FILE, (file for file, _ in batch))
        db.executemany(_TRANSFER, (transfer for _, transfer in batch))
        db.executemany(
            "INSERT INTO events (at_ms, transfer, event, detail) VALUES (?, ?, ?, ?)", _events(batch, now)
        )
        db.executemany(
            "INSERT OR IGNORE INTO scenes (session_id, scene_id, project_id, quiet) VALUES (?, ?, 'demo', 1)",
            {(transfer[5], transfer[6]) for _, transfer in batch},
        )
        db.execute("COMMIT")
    db.execute(_COUNTS)
    db.execute(_PRESENT)


def _route(router: Router, root: str, n: int) -> Route:
    found = router.route(root, path(n))
    if not isinstance(found, Route):
        raise TypeError(f"{path(n)} is not routed: {found}")
    return found


def _rows(n: int, identity: StatIdentity, now: int, *, at: Route, tag: str, is_gone: bool) -> tuple[Row, Row]:
    folder, _, name = path(n).rpartition("/")
    then = now - 400 * DAY_MS + n
    transfer = transfer_id(wall_ms=then, chance=n.to_bytes(5), tag=tag)
    stat = (identity.inode, identity.size_bytes, identity.mtime_ns, identity.ctime_ns)
    ended = now - 365 * DAY_MS + n if is_gone else None
    slot = at.slot
    where = (n, transfer, folder, name, slot.digest, slot.session_id, slot.entity_id, slot.entity_id)
    return (folder, name, *stat, slot.digest, n, 4 if is_gone else 0), (
        *(*where, slot.asset_type, at.priority, route_json(at), "lessons"),
        *(object_key(at, transfer), *stat, f"crc64nvme:{n:011}=", f"{n:032x}", then, then, then, then, ended),
    )


def _events(batch: list[tuple[Row, Row]], now: int) -> Iterator[Row]:
    for _, transfer in batch:
        for event in EVENTS:
            yield now - 8 * DAY_MS, transfer[0], event, transfer[12] if event == "uploaded" else None

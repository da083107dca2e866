"""Builders for tests that drive a journal by hand: one file's way in a few words."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from sidecar.core.ids import sidecar_tag
from sidecar.core.model import (
    AssetType,
    EntityType,
    Fingerprint,
    Observation,
    Route,
    Slot,
    State,
    StatIdentity,
    StoredObject,
    Transfer,
)
from sidecar.core.ops import Batch, Kept, OpOutcome, OpResult
from sidecar.core.upload_order import ANY
from sidecar.journal.journal import Journal

from .clock import ManualClock

TAG = sidecar_tag("test-sidecar")
ROOT = "/renders"


def open_journal(folder: Path, clock: ManualClock | None = None) -> Journal:
    """Open (again) the journal of a test."""
    return Journal(folder / "journal.db", tag=TAG, bucket="lessons", clock=clock or ManualClock())


def identity(n: int = 1, *, size: int = 10, mtime_ns: int | None = None) -> StatIdentity:
    """Return the n-th look of a file."""
    return StatIdentity(inode=7, size_bytes=size, mtime_ns=mtime_ns or n * 1000, ctime_ns=n * 1000)


def route(
    name: str = "chunk_001.mp4", *, scene: str = "s1", kind: AssetType = AssetType.VIDEO_CHUNK
) -> Route:
    """Return where the rules put a file of a scene, or of the session for a manifest."""
    of_session = kind in {AssetType.MANIFEST, AssetType.COMBINED_VIDEO}
    return Route(
        slot=Slot(
            session_id="demo/lesson",
            entity_type=EntityType.SESSION if of_session else EntityType.SCENE,
            entity_id="demo/lesson" if of_session else scene,
            asset_type=kind,
            name=name,
        ),
        project_id="demo",
        key=f"demo/lesson/{scene}/{kind}/{name}.{{transfer}}",
        index=1,
        role=None,
        content_type="video/mp4",
        cache_control=None,
        priority=3,
        settle_seconds=None,
        check_structure=True,
        entity_folder=None if of_session else f"demo/lesson/{scene}",
    )


def see(
    journal: Journal, n: int = 1, *, size: int = 10, at: Route | None = None, path: str | None = None
) -> Transfer | None:
    """Observe a file; returns its candidate."""
    where = at or route()
    seen = Observation(
        root=ROOT,
        path=path or f"demo/lesson/{where.slot.entity_id}/{where.slot.name}",
        identity=identity(n, size=size),
        route=where,
    )
    return journal.files.observe([seen])[0].candidate


def finish(journal: Journal, transfer: Transfer, text: str, n: int = 1, *, size: int = 10) -> State | None:
    """Complete a candidate with content that is named by a word."""
    checksum = f"crc64nvme:{text}"
    return journal.completion.complete(
        transfer.row_id, Fingerprint(identity=identity(n, size=size), checksum=checksum)
    )


def ready(journal: Journal, text: str, n: int = 1, *, at: Route | None = None) -> Transfer:
    """Bring a file to ready."""
    candidate = see(journal, n, at=at)
    assert candidate is not None
    assert finish(journal, candidate, text, n) is State.READY
    return journal.transfers.one(candidate.row_id)


def ship(journal: Journal, transfer: Transfer, *, places: int = 100, part_bytes: int = ANY) -> State:
    """Claim a ready transfer, where there are so many places, and report it as uploaded."""
    claim = journal.upload_claims.claim_uploads(limit=places, now=1e9, part_bytes=part_bytes)
    claimed = {t.row_id: t for t in claim.transfers}
    assert transfer.row_id in claimed
    journal.uploads.begin_put(transfer.row_id)
    stored = StoredObject(bucket="lessons", key=transfer.key, etag="e")
    return journal.uploads.uploaded(
        claimed[transfer.row_id], stored, url=f"https://cdn.example/{transfer.key}"
    )


def claim(journal: Journal, *, limit: int = 100, now: float = 1e9) -> Batch | None:
    """Claim the ops of one session, if any may go."""
    claimed = journal.batches.claim_batches(limit=limit, now=now)
    return claimed.batches[0] if claimed.batches else None


def batch(journal: Journal) -> Batch:
    """Claim the next batch."""
    found = claim(journal)
    assert found is not None
    return found


def tell(journal: Journal, outcome: OpOutcome = OpOutcome.APPLIED, *, kept: Kept | None = None) -> None:
    """Settle everything that can be sent, with one outcome for the puts; ``kept`` is what is shown then."""
    while (found := claim(journal)) is not None:
        journal.answers.settle(
            [
                OpResult(op_id=op.op_id, outcome=outcome, version=1, kept=kept)
                if op.kind == "put"
                else OpResult(op_id=op.op_id, outcome=OpOutcome.APPLIED)
                for op in found.ops
            ]
        )


def note(journal: Journal, key: str, value: str) -> str:
    """Write something of no meaning; returns it."""
    journal.db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", [key, value])
    return value


def noted(journal: Journal, key: str) -> str | None:
    """Read one of the journal's own facts as it is stored."""
    row = journal.db.execute("SELECT value FROM meta WHERE key = ?", [key]).fetchone()
    return None if row is None else str(row["value"])


def spoil(path: Path, table: str) -> None:
    """Write over a page of a table, as a failing disk might."""
    with closing(sqlite3.connect(path)) as db:
        (page,) = db.execute(
            "SELECT pageno FROM dbstat WHERE name = ? AND pagetype = 'leaf' ORDER BY pageno LIMIT 1", [table]
        ).fetchone()
    with path.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xff" * 4096)


def instructions(journal: Journal, work: Callable[[], object]) -> int:
    """Return how many of its virtual machine's instructions SQLite carries out for a piece of work."""
    done = 0

    def count() -> int:
        nonlocal done
        done += 1
        return 0

    journal.db.conn.set_progress_handler(count, 1)
    try:
        work()
    finally:
        journal.db.conn.set_progress_handler(None, 1)
    return done

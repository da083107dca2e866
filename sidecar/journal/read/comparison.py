"""Compares journal, bucket and Convex in bounded memory, in a private database that is gone afterwards.

The order of gathering makes the comparison sound although work goes on: first the journal's rows
(``settled``: what is synced by then must be in both listings), then Convex, then the bucket, and last the
journal again as it is at that moment (what anybody wants by then is no orphan).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from sidecar.core.ids import TIME_LENGTH, tags_in, transfer_in
from sidecar.core.inconsistencies import KeyEvidence
from sidecar.core.model import AssetType, EntityType, Slot, State
from sidecar.core.ops import AssetVersion, VersionStatus
from sidecar.journal.db.file_conditions import IS_PRESENT
from sidecar.journal.db.meta import PRUNED

_TABLES = """
CREATE TABLE rows (key TEXT PRIMARY KEY, id INTEGER NOT NULL, settled INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE objects (
  key TEXT PRIMARY KEY, size INTEGER NOT NULL, modified_ms INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE uploads (key TEXT NOT NULL, upload_id TEXT NOT NULL);
CREATE TABLE debts (key TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE versions (
  key TEXT PRIMARY KEY, slot TEXT NOT NULL, version INTEGER NOT NULL, transfer TEXT NOT NULL,
  size INTEGER NOT NULL, status TEXT NOT NULL, retired INTEGER NOT NULL
) WITHOUT ROWID;
"""
_ROWS = """
INSERT INTO rows SELECT key, id, ? AND state = 'synced' FROM journal.transfers
  WHERE id > ? AND bucket = ? AND state NOT IN ('gone', 'abandoned') ORDER BY id
  ON CONFLICT DO UPDATE SET id = excluded.id, settled = excluded.settled
"""
_SEEN = f"""
SELECT k.key, t.id, t.transfer, t.state, t.size AS row_size, t.lease,
  r.settled AND t.state = 'synced' AS settled,
  EXISTS (SELECT 1 FROM journal.outbox b WHERE b.transfer = t.id) AS op,
  EXISTS (SELECT 1 FROM debts d WHERE d.key = k.key) AS debt,
  EXISTS (SELECT 1 FROM journal.files f WHERE (f.root, f.folder, f.name) = (t.root, t.folder, t.name)
    AND f.transfer = t.id AND {IS_PRESENT}) AS on_disk,
  o.size AS object_size, o.modified_ms, v.slot, v.version, v.transfer AS version_transfer,
  v.size AS version_size, v.status, v.retired, NULL AS upload_id,
  (SELECT value FROM journal.meta WHERE key = '{PRUNED.key}') AS pruned
FROM (SELECT key FROM rows UNION SELECT key FROM objects UNION SELECT key FROM versions) k
LEFT JOIN rows r ON r.key = k.key LEFT JOIN journal.transfers t ON t.id = r.id
LEFT JOIN objects o ON o.key = k.key LEFT JOIN versions v ON v.key = k.key
UNION ALL
SELECT u.key, t.id, t.transfer, t.state, NULL, 0, 0, 0,
  EXISTS (SELECT 1 FROM debts d WHERE d.key = u.key), 0,
  NULL, NULL, NULL, NULL, NULL, NULL, NULL, 0, u.upload_id, NULL
FROM uploads u LEFT JOIN rows r ON r.key = u.key LEFT JOIN journal.transfers t ON t.id = r.id
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One key with its evidence. ``row`` is the journal's, ``slot`` and ``version`` are Convex's."""

    key: str
    transfer_id: str | None
    row: int | None
    slot: Slot | None
    version: int | None
    upload_id: str | None
    evidence: KeyEvidence


class Comparison:
    """Gathers, then shows. Blocking; one thread at a time. Close it."""

    def __init__(self, journal: Path, *, bucket: str, tag: str) -> None:
        """Take the journal's rows of ``bucket``. Only keys with our ``tag``, or named by us, are gathered."""
        self._bucket, self._tag = bucket, tag
        self._db = sqlite3.connect("", uri=True, isolation_level=None, check_same_thread=False)
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA synchronous = OFF")  # nothing of it outlives the process
        self._db.execute("ATTACH ? AS journal", [f"{journal.absolute().as_uri()}?mode=ro"])
        self._db.executescript(_TABLES)
        self._newest = 0
        self._take_rows(may_settle=True)

    def stop(self) -> None:
        """End what another thread is in the middle of: it raises sqlite3.OperationalError."""
        self._db.interrupt()

    def close(self) -> None:
        """Forget everything."""
        self._db.close()

    def add_versions(self, versions: Iterable[tuple[AssetVersion, bool]]) -> None:
        """Take in what Convex knows; each with whether retention gives it up."""
        self._db.executemany(
            "INSERT OR REPLACE INTO versions VALUES (?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    one.key,
                    json.dumps(asdict(one.slot)),
                    one.version,
                    one.transfer_id,
                    one.size_bytes,
                    one.status,
                    retired,
                )
                for one, retired in versions
                if one.bucket == self._bucket
            ],
        )

    def add_objects(self, objects: Iterable[tuple[str, int, int]]) -> None:
        """Take in key, size and S3's time (ms) of what the bucket holds; what is not ours is passed over."""
        self._db.executemany(
            "INSERT OR REPLACE INTO objects VALUES (?, ?, ?)",
            [found for found in objects if self._is_ours(found[0])],
        )

    def add_uploads(self, uploads: Iterable[tuple[str, str]]) -> None:
        """Take in key and ID of open multipart uploads; only keys with our tag are."""
        ours = [found for found in uploads if self._tag in tags_in(found[0])]
        self._db.executemany("INSERT INTO uploads VALUES (?, ?)", ours)

    def seen(self, *, now_ms: int | None) -> Iterator[Seen]:
        """Show every key. ``now_ms`` is the time by S3's clock, None if it cannot be told."""
        self._take_rows(may_settle=False)
        self._db.execute("INSERT OR IGNORE INTO debts SELECT key FROM journal.debts")
        for row in self._db.execute(_SEEN):
            yield self._shown(row, now_ms)

    def named(self, keys: Sequence[str]) -> set[str]:
        """Return which of these keys the journal has rows of."""
        rows = self._db.execute(
            "SELECT key FROM rows WHERE key IN (SELECT value FROM json_each(?))", [json.dumps(keys)]
        )
        return {row["key"] for row in rows}

    def _take_rows(self, *, may_settle: bool) -> None:
        self._db.execute(_ROWS, [may_settle, self._newest, self._bucket])
        row = self._db.execute("SELECT max(id) AS id FROM journal.transfers").fetchone()
        self._newest = row["id"] or 0

    def _is_ours(self, key: str) -> bool:
        named = "SELECT 1 FROM rows WHERE key = ?1 UNION SELECT 1 FROM versions WHERE key = ?1"
        return self._tag in tags_in(key) or self._db.execute(named, [key]).fetchone() is not None

    def _shown(self, row: sqlite3.Row, now_ms: int | None) -> Seen:
        version_size = row["version_size"]
        age = None if now_ms is None or row["modified_ms"] is None else (now_ms - row["modified_ms"]) / 1000
        transfer_id = row["version_transfer"] or row["transfer"] or transfer_in(row["key"], self._tag)
        return Seen(
            key=row["key"],
            transfer_id=transfer_id,
            row=row["id"],
            slot=_slot(row["slot"]),
            version=row["version"],
            upload_id=row["upload_id"],
            evidence=KeyEvidence(
                state=None if row["state"] is None else State(row["state"]),
                settled=bool(row["settled"]),
                is_pending=bool(row["op"] or row["debt"] or row["lease"]),
                on_disk=bool(row["on_disk"]),
                size_bytes=version_size if version_size is not None else row["row_size"],
                object_bytes=row["object_size"],
                object_age_seconds=age,
                version=None if row["status"] is None else VersionStatus(row["status"]),
                retired=bool(row["retired"]),
                upload=row["upload_id"] is not None,
                forgotten=_is_forgotten(transfer_id, row["pruned"]),
            ),
        )


def _is_forgotten(transfer_id: str | None, pruned: str | None) -> bool:
    return transfer_id is not None and pruned is not None and transfer_id[:TIME_LENGTH] <= pruned


def _slot(text: str | None) -> Slot | None:
    if text is None:
        return None
    fields = json.loads(text)
    fields["entity_type"] = EntityType(fields["entity_type"])
    fields["asset_type"] = AssetType(fields["asset_type"])
    return Slot(**fields)

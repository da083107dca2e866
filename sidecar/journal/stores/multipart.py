"""Keeps multipart uploads: the intent, the upload's ID and its parts, each before or right after the call."""

from __future__ import annotations

from sidecar.core.checksum_algorithms import Algorithm
from sidecar.core.model import Part, PartChecksums, State, Transfer
from sidecar.journal.db.connection import JournalConnection, Rare
from sidecar.journal.db.rows import part_checksums_from, part_from
from sidecar.journal.db.store import Store, transaction

from .cleanup import Cleanup
from .transfers import Transfers


class MultipartUploads(Store):
    """What S3 may have open, and what of it is stored."""

    def __init__(self, db: JournalConnection, transfers: Transfers, cleanup: Cleanup) -> None:
        super().__init__(db)
        self._transfers, self._cleanup = transfers, cleanup

    def parts(self, row_id: int) -> list[Part]:
        """Return the parts whose success is journaled, by number."""
        rows = self._db.execute("SELECT * FROM parts WHERE transfer = ? ORDER BY number", [row_id])
        return [part_from(row) for row in rows]

    def part_checksums(self, row_id: int) -> PartChecksums | None:
        """Return what the read that completed the file found; None where it was not kept."""
        row = self._db.execute(
            "SELECT checksum_part_bytes, part_checksums FROM transfers WHERE id = ?", [row_id]
        ).fetchone()
        return part_checksums_from(row)

    @transaction
    def begin_multipart(
        self, row_id: int, *, part_bytes: int, algorithm: Algorithm | None = None
    ) -> PartChecksums | None:
        """Note the intent, before Create: from here on an upload under this key may exist.

        Returns what ``part_checksums`` does.
        """
        row = self._db.execute(
            "UPDATE transfers SET may_upload = 1, part_bytes = ?, algorithm = ?, upload_id = NULL"
            " WHERE id = ? RETURNING session_id, scene_id, checksum_part_bytes, part_checksums",
            [part_bytes, algorithm, row_id],
        ).fetchone()
        self._db.none_of.discard(Rare.OPEN_UPLOADS)
        self._db.gathered.bring_news(row["session_id"], row["scene_id"])
        return part_checksums_from(row)

    @transaction
    def opened(self, row_id: int, upload_id: str) -> None:
        """Remember the upload ID, before the first part."""
        self._db.execute("UPDATE transfers SET upload_id = ? WHERE id = ?", [upload_id, row_id])

    @transaction
    def part_stored(self, row_id: int, part: Part) -> bool:
        """S3 confirmed a part; spent attempts are forgotten. False: the transfer is no longer wanted."""
        self._db.execute(
            "INSERT OR REPLACE INTO parts VALUES (?, ?, ?, ?, ?)",
            [row_id, part.number, part.size_bytes, part.etag, part.checksum],
        )
        self._db.execute("UPDATE transfers SET failures = 0 WHERE id = ? AND failures > 0", [row_id])
        row = self._db.execute("SELECT state FROM transfers WHERE id = ?", [row_id]).fetchone()
        return bool(row["state"] == State.READY)

    @transaction
    def forget_upload(self, row_id: int) -> None:
        """The multipart upload is of no use any more: what is open under its key becomes a clean-up task."""
        self._cleanup.add_upload_cleanup(self._transfers.one(row_id))

    def open_uploads(self, *, key: str | None = None) -> dict[str, frozenset[str | None]]:
        """Return, by key, the IDs of uploads that we may have open, under one key or all.

        None among them: Create's answer is unknown.
        """
        rows = self._db.execute(
            "SELECT key, upload_id FROM transfers WHERE may_upload = 1 AND (?1 IS NULL OR key = ?1)", [key]
        )
        found: dict[str, frozenset[str | None]] = {}
        for row in rows:
            found[row["key"]] = found.get(row["key"], frozenset()) | {row["upload_id"]}
        return found

    def redirect_one(self, transfer: Transfer) -> None:
        """Let a transfer that S3 does not hold go to the settings' bucket, if it was meant for another."""
        if transfer.bucket == self._db.bucket:
            return
        self._db.execute("DELETE FROM parts WHERE transfer = ?", [transfer.row_id])
        self._db.execute(
            "UPDATE transfers SET bucket = ?, upload_id = NULL, part_bytes = NULL, may_upload = 0,"
            " may_object = 0, failures = 0, due = 0 WHERE id = ?",
            [self._db.bucket, transfer.row_id],
        )
        detail = f"s3.bucket is {self._db.bucket} now, and was {transfer.bucket}"
        self._transfers.record(transfer, "aimed anew", transfer.state, detail)

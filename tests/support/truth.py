"""What is true outside the daemon, and the invariants over it. Nothing of the daemon's code is used.

Objects are read with boto3 from the server itself (never through a proxy), Convex by its own tables,
the journal with plain SQL on a read-only connection, the sources by stat.
"""

from __future__ import annotations

import base64
import hashlib
import os
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from awscrt.checksums import crc64nvme
from botocore.exceptions import ClientError

from tests.support.patience import DEADLINE_SECONDS

Row = Mapping[str, Any]
UNFINISHED = "('discovered', 'ready', 'uploaded')"


@dataclass(frozen=True, slots=True)
class Content:
    """What is left of some bytes: size and SHA-256. ``checksum`` is what Convex must show for them."""

    size: int
    sha256: str
    checksum: str

    @classmethod
    def of(cls, data: bytes) -> Content:
        """Take in some bytes."""
        checksum = "crc64nvme:" + base64.b64encode(crc64nvme(data).to_bytes(8)).decode()
        return cls(len(data), hashlib.sha256(data).hexdigest(), checksum)


class JournalFile:
    """The journal's tables, read by SQL of our own."""

    def __init__(self, path: Path) -> None:
        """Nothing is opened yet."""
        self._path = path

    def rows(self, sql: str) -> list[dict[str, Any]]:
        """Return a query's rows."""
        with closing(sqlite3.connect(f"file:{self._path}?mode=ro", uri=True, timeout=10)) as db:
            db.row_factory = sqlite3.Row
            return [dict(row) for row in db.execute(sql)]

    def count(self, what: str) -> int:
        """Count the rows of a table, or of a table with a condition."""
        return int(self.rows(f"SELECT count(*) AS n FROM {what}")[0]["n"])  # noqa: S608 - our own text

    def owes_nothing(self) -> bool:
        """Tell whether no transfer, op or clean-up is on its way.

        A clean-up that found nothing, and that only waits for its last look, has no due time any more.
        """
        unfinished = self.count(f"transfers WHERE state IN {UNFINISHED} OR lease <> 0")
        ops, tasks = self.count("outbox WHERE state <> 'dead'"), self.count("debts WHERE due < 1e300")
        return not unfinished and not ops and not tasks


class Sources:
    """The files as the renderer left them: ``wrote`` remembers, ``untouched`` compares."""

    def __init__(self) -> None:
        """Know no file."""
        self._seen: dict[Path, tuple[int, ...]] = {}

    def wrote(self, path: Path) -> None:
        """Remember a file's newest state."""
        self._seen[path] = _identity(path)

    def untouched(self) -> list[str]:
        """Return what is wrong (I8): whoever writes, renames, chmods or links changes one of these."""
        return [f"I8: {path} was touched" for path, then in self._seen.items() if _identity(path) != then]


class Truth:
    """One bucket, one Convex, one journal."""

    def __init__(
        self, *, client: Any, bucket: str, table: Callable[[str], Sequence[Row]], journal: JournalFile
    ) -> None:
        """``table`` returns the documents of a table of Convex."""
        self.client, self.bucket, self.journal = client, bucket, journal
        self._table = table
        self._read: dict[tuple[str, str, str], Content] = {}

    def objects(self) -> dict[str, Content]:
        """Download everything that was not downloaded before."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket)
        items = [item for page in pages for item in page.get("Contents", [])]
        return {item["Key"]: self._content(item) for item in items}

    def _content(self, item: Mapping[str, Any]) -> Content:
        version = (item["Key"], item["ETag"], str(item["LastModified"]))
        if version not in self._read:
            self._read[version] = Content.of(self._download(str(item["Key"])))
        return self._read[version]

    def _download(self, key: str) -> bytes:
        """Return an object's bytes. A server that has just been restarted may need a moment."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while True:
            try:
                return bytes(self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read())
            except ClientError as error:
                status = error.response["ResponseMetadata"]["HTTPStatusCode"]
                if status < 500 or time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    def rows(self, table: str) -> list[Row]:
        """Return this bucket's documents."""
        return [row for row in self._table(f"renderSidecar/{table}") if row["bucket"] == self.bucket]

    def open_uploads(self) -> list[str]:
        """List keys of open multipart uploads."""
        answer = self.client.list_multipart_uploads(Bucket=self.bucket)
        return [str(item["Key"]) for item in answer.get("Uploads", [])]

    def violations(self, states: Mapping[str, Sequence[Content]]) -> list[str]:
        """Compare everything; ``states`` are the settled states of each slot's file name, oldest first.

        Each state was synced before the next was written, so that each is one version. Names are
        unique in a test. Returns sentences that begin with the invariant's number.
        """
        objects, versions = self.objects(), self.rows("assetVersions")
        wrong = [f"I4: an upload of {key} is open" for key in self.open_uploads()]
        wrong += _one_to_one(objects, [str(row["s3Key"]) for row in versions])
        of_name = _by_name(versions), _by_name(self.rows("assets"))
        for name, wanted in states.items():
            wrong += _slot(name, wanted, objects, of_name[0].get(name, []), of_name[1].get(name, []))
        return wrong + self._journal(objects, versions)

    def _journal(self, objects: Mapping[str, Content], versions: Sequence[Row]) -> list[str]:
        """I5: whole, and never ahead of what S3 and Convex know."""
        wrong = [
            f"I5: integrity_check: {row}"
            for row in self.journal.rows("PRAGMA integrity_check")
            if row["integrity_check"] != "ok"
        ]
        known = {str(row["s3Key"]): row for row in versions}
        for row in self.journal.rows("SELECT * FROM transfers WHERE state IN ('uploaded', 'synced')"):
            held = objects.get(row["key"])
            if held is None or held.checksum != row["checksum"]:
                wrong.append(f"I5: the journal says uploaded, S3 has no such {row['key']}")
            if row["state"] == "synced" and known.get(row["key"], {}).get("version") != row["version"]:
                wrong.append(f"I5: the journal says synced, Convex has no such {row['key']}")
        dead = self.journal.rows("SELECT name, error_message FROM transfers WHERE state = 'dead'")
        return wrong + [f"a dead letter: {row}" for row in dead]


def _by_name(rows: Sequence[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row["name"], []).append(row)
    return found


def _slot(
    name: str,
    wanted: Sequence[Content],
    objects: Mapping[str, Content],
    versions: Sequence[Row],
    current: Sequence[Row],
) -> list[str]:
    mine = sorted(versions, key=lambda row: float(row["version"]))
    wrong = []
    if [row["checksum"] for row in mine] != [content.checksum for content in wanted]:
        wrong.append(f"I3: {name} has {len(mine)} versions, not {len(wanted)}, or others")
    if any(objects.get(row["s3Key"]) != one for row, one in zip(mine, wanted, strict=False)):
        wrong.append(f"I1: an object of {name} has other bytes")
    if [(row["checksum"], row["size"]) for row in current] != [(wanted[-1].checksum, wanted[-1].size)]:
        wrong.append(f"I1: Convex does not show the last state of {name}")
    return wrong


def _one_to_one(objects: Mapping[str, Content], keys: Sequence[str]) -> list[str]:
    wrong = [f"I3: {key} has two version rows" for key in set(keys) if keys.count(key) > 1]
    wrong += [f"I3: the object {key} has no version row" for key in objects.keys() - set(keys)]
    return wrong + [f"I3: the version row of {key} has no object" for key in set(keys) - objects.keys()]


def _identity(path: Path) -> tuple[int, ...]:
    found = os.lstat(path)
    return (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_mode, found.st_nlink)

"""What must be true whatever was killed; reads S3, Convex and a copy of the journal, by its own means."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from tests.support.system import checksum

from .lab import Case


def check(case: Case) -> None:
    """I1 to I5 and I8, of a case that is quiet and whose daemon is dead."""
    objects, rows, versions = _objects(case), _rows(case, "assets"), _rows(case, "assetVersions")
    _whole(case, objects)
    _once(objects, versions)
    _current(case, objects, rows, versions)
    assert _open_uploads(case) == [], "I4: open uploads"
    _journal(case, objects, versions, quiet=True)
    case.untouched()


def check_between(case: Case) -> None:
    """I2 and I5 of what a kill has left: no torn object, and a journal that claims nothing that is not.

    Nor does Convex show anything that is not.
    """
    keys, versions = _keys(case), _rows(case, "assetVersions")
    for row in _rows(case, "assets"):
        assert row["s3Key"] in keys, f"I1: {row['s3Key']} is shown, and is no object"
    _journal(case, dict.fromkeys(keys, b""), versions, quiet=False)


def states(case: Case) -> dict[str, str]:
    """Return what the journal on disk holds of each transfer."""
    with _copy(case) as db:
        if db is None or not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'transfers'").fetchone():
            return {}
        return dict(db.execute("SELECT transfer, state FROM transfers").fetchall())


def _whole(case: Case, objects: dict[str, bytes]) -> None:
    states = {data for path in case.states for data in case.states[path]}
    for key, data in objects.items():
        assert data in states, f"I2: {key} ({len(data)} bytes) is no complete state of any file"


def _once(objects: dict[str, bytes], versions: list[dict[str, Any]]) -> None:
    keys = sorted(row["s3Key"] for row in versions if not row["expired"])
    assert keys == sorted(objects), f"I3: objects and version rows differ: {set(keys) ^ set(objects)} {keys}"
    by_slot: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in versions:
        assert row["expired"] or row["checksum"] == checksum(objects[row["s3Key"]]), (
            f"I3: {row['s3Key']} is not what its row says"
        )
        by_slot["\0".join((row["sessionId"], row["entityId"], row["assetType"], row["name"]))].append(row)
    for slot, some in by_slot.items():
        some.sort(key=lambda row: row["version"])
        assert [row["version"] for row in some] == list(range(1, len(some) + 1)), f"I3: versions of {slot}"
        for older, newer in pairwise(some):
            twice = older["checksum"] == newer["checksum"] and not older["expired"]
            assert not twice, f"I3: {slot} has one content twice in a row"


def _current(
    case: Case, objects: dict[str, bytes], rows: list[dict[str, Any]], versions: list[dict[str, Any]]
) -> None:
    current = {row["s3Key"]: row for row in rows}
    newest = {key: row for row in versions if (key := row["s3Key"]) in current}
    files = {path: states for path, states in case.states.items() if path not in case.removed}
    assert len(rows) == len(files), f"I3: {len(rows)} assets for {len(files)} files"
    for path, states in files.items():
        named = [
            row for row in rows if row["s3Key"].startswith(path.rsplit("/", 2)[0] + "/") and _is(row, path)
        ]
        assert len(named) == 1, f"I1: {path} has {len(named)} rows"
        (row,) = named
        assert objects[row["s3Key"]] == states[-1], f"I1: {path} is not what Convex shows"
        assert row["size"] == len(states[-1])
        assert newest[row["s3Key"]]["version"] == row["version"], f"I3: {path} shows an old version"


def _is(row: dict[str, Any], path: str) -> bool:
    return bool(row["name"] == path.rsplit("/", 1)[1])


def _journal(case: Case, objects: dict[str, bytes], versions: list[dict[str, Any]], *, quiet: bool) -> None:
    told = {row["transfer"]: row["version"] for row in versions}
    with _copy(case) as db:
        if db is None:
            return
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)], "I5: the journal is damaged"
        if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'transfers'").fetchone():
            return
        for transfer, state, version, key in db.execute(
            "SELECT transfer, state, version, key FROM transfers"
        ).fetchall():
            if state == "synced":
                assert told.get(transfer) == version, f"I5: the journal holds {transfer} as synced"
            if state in {"synced", "uploaded"}:
                assert key in objects, f"I5: the journal holds {key} as uploaded"
            assert not quiet or state in {"synced", "superseded", "gone"}, f"{transfer} is {state}"


@contextlib.contextmanager
def _copy(case: Case) -> Iterator[sqlite3.Connection | None]:
    """Open a copy: the next life must find what the kill left, not what we made of it."""
    folder = case.folder / "copy"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for path in case.journal.parent.glob("journal.db*"):
        if not path.name.endswith(("-shm", ".lock")):
            shutil.copy(path, folder)
    if not (folder / "journal.db").exists():
        yield None
        return
    with contextlib.closing(sqlite3.connect(folder / "journal.db")) as db:
        yield db


def _prefix(case: Case) -> str:
    return f"{case.name}/"


def _keys(case: Case) -> list[str]:
    client = case.lab.s3.client()
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=case.lab.bucket, Prefix=_prefix(case))
    return [item["Key"] for page in pages for item in page.get("Contents", [])]


def _objects(case: Case) -> dict[str, bytes]:
    client = case.lab.s3.client()
    return {k: client.get_object(Bucket=case.lab.bucket, Key=k)["Body"].read() for k in _keys(case)}


def _open_uploads(case: Case) -> list[str]:
    answer = case.lab.s3.client().list_multipart_uploads(Bucket=case.lab.bucket, Prefix=_prefix(case))
    return [item["Key"] for item in answer.get("Uploads", [])]


def _rows(case: Case, table: str) -> list[dict[str, Any]]:
    return [row for row in case.lab.convex.table(f"renderSidecar/{table}") if row["projectId"] == case.name]

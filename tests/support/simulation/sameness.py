"""Whether two outsides are the same to whoever starts on them: all but times and made-up names is equal.

A new life remembers nothing, so what follows from equal outsides is equal, but for chance. Leases and due
times are void at a start; times and names count by their order alone.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Mapping
from hashlib import sha256

from .outside import Outside

TABLES = ("meta", "files", "transfers", "parts", "outbox", "debts", "sessions", "scenes")
_VOID = {"due", "change", "error_message", "route"}
_MADE_UP = re.compile(
    r"\b(?:(?P<wall_ms>2\d{12})|(?P<time_ns>2\d{18})|(?P<transfer>0[0-9A-Z]{25,27})"
    r"|(?P<op>[0-9a-f]{32})|(?P<upload>upload-\d+))\b"
)
_ORDERED = {"time_ns", "transfer"}  # the others are names alone


def sameness(outside: Outside) -> bytes:
    """Return what is equal for equal outsides."""
    parts = [*_journal(outside), *_deployment(outside), *_bucket(outside), *_world(outside)]
    said = "\n".join(map(repr, parts))
    found: dict[str, dict[str, None]] = {}
    for one in _MADE_UP.finditer(said):
        found.setdefault(one.lastgroup or "", {})[one[0]] = None
    numbers = {
        name: "" if kind == "wall_ms" else f"{kind} {number}"
        for kind, names in found.items()
        for number, name in enumerate(sorted(names) if kind in _ORDERED else names)
    }
    return sha256(_MADE_UP.sub(lambda one: numbers[one[0]], said).encode()).digest()


def _journal(outside: Outside) -> Iterable[object]:
    if outside.image is None:
        return
    journal = outside.ledger.look(outside.image)
    rows = {table: journal.execute(f"SELECT * FROM {table}").fetchall() for table in TABLES}  # noqa: S608 - our names
    ids = {row["id"]: n for n, row in enumerate(rows["transfers"])}
    seqs = _ranks([row["seq"] for row in rows["outbox"]], outside)
    for table in TABLES:
        for row in rows[table]:
            yield table, [_told(table, name, row, ids, seqs) for name in row.keys() if name not in _VOID]  # noqa: SIM118 - a row iterates over its values


def _ranks(seqs: Iterable[int], outside: Outside) -> Mapping[int, int]:
    newest = max((row.epoch for row in outside.deployment.applied.values()), default=0)
    known = {row.seq for row in outside.deployment.applied.values() if row.epoch == newest}
    return {seq: n for n, seq in enumerate(sorted({*seqs, *known}))}


def _told(table: str, name: str, row: sqlite3.Row, ids: Mapping[int, int], seqs: Mapping[int, int]) -> object:
    value = row[name]
    if table == "meta":
        return _said_of_itself(row["key"], value, seqs) if name == "value" else value
    if name.endswith("_ms"):
        return value is None
    if name == "lease":
        return bool(value and table == "transfers" and row["state"] == "superseded")
    if name == "seq":
        return seqs[value]
    if (table, name) == ("transfers", "id") or (name == "transfer" and isinstance(value, int)):
        return ids.get(value)
    return None if (table, name) == ("debts", "id") else value


def _said_of_itself(key: str, value: str, seqs: Mapping[int, int]) -> object:
    if key == "told_seq":
        return sum(seq <= int(value) for seq in seqs)
    return None if key == "journal_id" else value


def _deployment(outside: Outside) -> Iterable[object]:
    deployment = outside.deployment
    newest = max((row.epoch for row in deployment.applied.values()), default=0)
    seqs = _ranks([], outside)
    yield {sidecar: len(journals) for sidecar, journals in deployment.epochs.items()}
    for (sidecar, op_id), row in sorted(
        deployment.applied.items(), key=lambda item: (item[1].epoch, item[1].seq)
    ):
        seq = seqs[row.seq] if row.epoch == newest else -1
        yield (
            op_id,
            row.epoch - newest,
            seq,
            row.slot,
            row.content,
            row.version,
            (sidecar, op_id) in deployment.passed,
        )
    for name, version in sorted(deployment.rows.items()):
        shown = deployment.assets.get(version.slot) == version
        yield name, version.transfer, version.key, version.checksum, shown, name in deployment.expired
    yield sorted(deployment.history.items()), sorted(deployment.deleted), sorted(deployment.refused.items())
    for scene, facts in sorted(deployment.facts.items()):
        yield scene, sorted((key, str(value)) for key, value in facts.items())


def _bucket(outside: Outside) -> Iterable[object]:
    bucket = outside.bucket
    for key, (spec, content) in sorted(bucket.objects.items()):
        yield key, spec.metadata.get("transfer"), hash(content)
    for upload_id, upload in sorted(bucket.uploads.items()):
        yield upload_id, upload.spec.key, sorted((n, hash(part)) for n, part in upload.parts.items())


def _world(outside: Outside) -> Iterable[object]:
    disk = outside.world.disk
    for path, number in sorted(disk.names.items()):
        inode = disk.inodes[number]
        yield path, number, hash(inode.content), inode.found.st_mtime_ns, inode.found.st_ctime_ns
    yield sorted(outside.done), sorted(outside.wishes), outside.backup is None
    waiting = {step.call for n, step in enumerate(outside.steps) if step.call and n not in outside.done}
    yield {name: outside.called.get(name, 0) for name in sorted(waiting)}

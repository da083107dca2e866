"""Converts between SQLite rows and the plain values of core: the only place that knows both."""

from __future__ import annotations

import json
import math
import re
import sqlite3
from collections.abc import Mapping
from dataclasses import asdict, fields
from functools import lru_cache
from operator import attrgetter
from typing import Any

from pydantic_core import to_json

from sidecar.core.checksum_algorithms import Algorithm
from sidecar.core.checksums import to_int, to_text
from sidecar.core.media_facts import MediaFacts
from sidecar.core.model import (
    AssetType,
    EntityType,
    KnownContent,
    Part,
    PartChecksums,
    Route,
    Slot,
    State,
    StatIdentity,
    Transfer,
)

# In `debts.due`, of a clean-up task that never falls due: a recheck settles it, and nothing else.
UNTIL_RECHECKED = math.inf
_CHECKSUM_BYTES = 8  # of each part, in `transfers.part_checksums`
TRANSFER_COLUMNS = """
  t.id, t.transfer, r.path AS root, t.folder, t.name, t.route, t.state, t.bucket, t.key,
  t.inode, t.size, t.mtime_ns, t.ctime_ns, t.checksum, t.upload_id, t.part_bytes, t.etag, t.version_id,
  t.version, t.recall, t.held, t.failures, t.discovered_ms, t.ready_ms, t.uploaded_ms, t.synced_ms,
  t.may_upload, t.may_object, t.error_kind, t.error_message, t.home, t.parked, t.algorithm, t.media
"""
_TRANSFER_NAMES = tuple(re.split(r"\W+", column)[-1] for column in TRANSFER_COLUMNS.strip().split(","))
TRANSFERS = "transfers t JOIN roots r ON r.id = t.root"
FROM_TRANSFERS = f"SELECT {TRANSFER_COLUMNS} FROM {TRANSFERS}"


def split(path: str) -> tuple[str, str]:
    """Return (folder, name) of a path below a root; the root's own folder is ""."""
    folder, _, name = path.rpartition("/")
    return folder, name


def join(folder: str, name: str) -> str:
    """Undo ``split``."""
    return f"{folder}/{name}" if folder else name


def signed(inode: int) -> int:
    """Fold an unsigned 64-bit inode (overlayfs sets the high bits) into SQLite's signed integer."""
    return inode - (1 << 64) if inode >= 1 << 63 else inode


def unsigned(number: int) -> int:
    """Undo ``signed``."""
    return number + (1 << 64) if number < 0 else number


_SLOT_FIELDS = tuple(field.name for field in fields(Slot))
_SLOT_VALUES = attrgetter(*_SLOT_FIELDS)
_ROUTE_FIELDS = tuple(field.name for field in fields(Route))
_ROUTE_VALUES = attrgetter(*_ROUTE_FIELDS)
_MEDIA_FIELDS = tuple(field.name for field in fields(MediaFacts))
_MEDIA_VALUES = attrgetter(*_MEDIA_FIELDS)
IDENTITY = ("inode", "size", "mtime_ns", "ctime_ns")
PART_CHECKSUMS = ("checksum_part_bytes", "part_checksums")
Column = str | int | bytes | None
_STATES = {state.value: state for state in State}
ROUTES_KEPT_MAX = 2048  # 2 KB each; as many as wait to be looked at
_ROUTES: dict[str, Route] = {}  # as they are stored, and as they are


def identity_values(identity: StatIdentity | None) -> tuple[int | None, int | None, int | None, int | None]:
    """Return the columns of IDENTITY as stored."""
    if identity is None:
        return None, None, None, None
    return signed(identity.inode), identity.size_bytes, identity.mtime_ns, identity.ctime_ns


def identity_of(row: sqlite3.Row | Mapping[str, Any]) -> StatIdentity | None:
    """Read the four columns of an identity back; None where it is not known yet."""
    if row["mtime_ns"] is None:
        return None
    return StatIdentity(
        inode=unsigned(row["inode"]),
        size_bytes=row["size"],
        mtime_ns=row["mtime_ns"],
        ctime_ns=row["ctime_ns"],
    )


def json_text(value: Any) -> str:
    """Return JSON as the journal keeps it: thrice as fast as Python's, but for values of an Enum."""
    return to_json(value, fallback=dict).decode()


def route_json(route: Route) -> str:
    """Return a route as JSON; whoever reads that soon gets this very one."""
    slot = dict(zip(_SLOT_FIELDS, map(str, _SLOT_VALUES(route.slot)), strict=True))
    text = json_text({**dict(zip(_ROUTE_FIELDS, _ROUTE_VALUES(route), strict=True)), "slot": slot})
    _keep(text, route)
    return text


def route_from(text: str) -> Route:
    """Undo ``route_json``. Each step of a transfer reads its own once more."""
    if (known := _ROUTES.get(text)) is None:
        known = _read(text)
        _keep(text, known)
    return known


def _keep(text: str, route: Route) -> None:
    """Keep a route instead of the oldest: files go their way in the order in which they came."""
    if len(_ROUTES) >= ROUTES_KEPT_MAX and text not in _ROUTES:
        _ROUTES.pop(next(iter(_ROUTES)), None)
    _ROUTES[text] = route


def _read(text: str) -> Route:
    stored: dict[str, Any] = json.loads(text)
    slot = stored.pop("slot")
    return Route(
        slot=Slot(
            session_id=slot["session_id"],
            entity_type=EntityType(slot["entity_type"]),
            entity_id=slot["entity_id"],
            asset_type=AssetType(slot["asset_type"]),
            name=slot["name"],
        ),
        **stored,
    )


def known_content_json(known_content: KnownContent | None) -> str | None:
    """Return where to look as stored."""
    return None if known_content is None else json.dumps(asdict(known_content))


def media_json(media: MediaFacts | None) -> str | None:
    """Return what a file's structure told as stored."""
    if media is None:
        return None
    told = zip(_MEDIA_FIELDS, _MEDIA_VALUES(media), strict=True)
    return json_text({name: value for name, value in told if value is not None})


@lru_cache(maxsize=512)  # as of a route
def media_from(text: str) -> MediaFacts:
    """Undo ``media_json``."""
    return MediaFacts(**json.loads(text))


def transfer_from(selected: sqlite3.Row) -> Transfer:
    """Return the transfer of a row whose first columns are TRANSFER_COLUMNS."""
    row = dict(zip(_TRANSFER_NAMES, selected, strict=False))  # a Row compares names, one after the other
    return Transfer(
        row_id=row["id"],
        transfer_id=row["transfer"],
        root=row["root"],
        path=join(row["folder"], row["name"]),
        route=route_from(row["route"]),
        state=_STATES[row["state"]],
        bucket=row["bucket"],
        key=row["key"],
        identity=identity_of(row),
        checksum=row["checksum"],
        upload_id=row["upload_id"],
        part_bytes=row["part_bytes"],
        may_upload=bool(row["may_upload"]),
        may_object=bool(row["may_object"]),
        etag=row["etag"],
        version_id=row["version_id"],
        version=row["version"],
        known_content=None if row["recall"] is None else KnownContent(**json.loads(row["recall"])),
        awaits_lookup=bool(row["held"]),
        failures=row["failures"],
        discovered_ms=row["discovered_ms"],
        ready_ms=row["ready_ms"],
        uploaded_ms=row["uploaded_ms"],
        synced_ms=row["synced_ms"],
        error_kind=row["error_kind"],
        error_message=row["error_message"],
        home=row["home"],
        parked=bool(row["parked"]),
        algorithm=None if row["algorithm"] is None else Algorithm(row["algorithm"]),
        media=None if row["media"] is None else media_from(row["media"]),
    )


def part_from(row: sqlite3.Row) -> Part:
    """Return a journaled part."""
    return Part(number=row["number"], size_bytes=row["size"], etag=row["etag"], checksum=row["checksum"])


def part_checksum_values(parts: PartChecksums | None) -> tuple[int | None, bytes | None]:
    """Return checksum_part_bytes and part_checksums as stored."""
    if parts is None:
        return None, None
    return parts.part_bytes, b"".join(
        to_int(checksum).to_bytes(_CHECKSUM_BYTES) for checksum in parts.checksums
    )


def part_checksums_from(row: sqlite3.Row) -> PartChecksums | None:
    """Return the checksums of a file's parts."""
    stored: bytes | None = row["part_checksums"]
    if stored is None:
        return None
    values = [stored[at : at + _CHECKSUM_BYTES] for at in range(0, len(stored), _CHECKSUM_BYTES)]
    checksums = tuple(to_text(int.from_bytes(value)) for value in values)
    return PartChecksums(part_bytes=row["checksum_part_bytes"], checksums=checksums)

"""Converts between SQLite rows and the plain values of core: the only place that knows both."""

from __future__ import annotations

import json
import json.encoder
import math
import sqlite3
from collections.abc import Mapping
from dataclasses import asdict, fields
from functools import lru_cache
from operator import attrgetter
from typing import Any

from pydantic_core import from_json, to_json

from sidecar.core.checksum_algorithms import Algorithm
from sidecar.core.checksums import to_int, to_text
from sidecar.core.makers import maker
from sidecar.core.media_facts import MediaFacts
from sidecar.core.model import (
    AssetType,
    EntityType,
    KnownContent,
    Observation,
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
# In the order of Transfer's fields, which ``transfer_from`` makes of them.
TRANSFER_COLUMNS = """
  t.id, t.transfer, r.path, t.folder, t.name, t.route, t.state, t.bucket, t.key,
  t.inode, t.size, t.mtime_ns, t.ctime_ns, t.checksum, t.upload_id, t.part_bytes, t.may_upload, t.may_object,
  t.etag, t.version_id, t.version, t.failures, t.discovered_ms, t.ready_ms, t.uploaded_ms, t.synced_ms,
  t.error_kind, t.error_message, t.recall, t.held, t.home, t.parked, t.algorithm, t.media
"""
_COLUMNS = TRANSFER_COLUMNS.count(",") + 1
TRANSFERS = "transfers t JOIN roots r ON r.id = t.root"
FROM_TRANSFERS = f"SELECT {TRANSFER_COLUMNS} FROM {TRANSFERS}"
# The conditions of two indexes, which SQLite takes only where a question has their words. No question for a
# single state has them by itself: it would be led away from the index that knows more of what is asked. They
# have no list: SQLite makes a table of one, anew for each row that is written.
IS_OPEN = "NOT (t.state = 'synced' OR t.state = 'superseded' OR t.state = 'gone')"  # open_by_scene
IS_OWED = "NOT (t.state <> 'ready' AND t.state <> 'uploaded')"  # owed_since


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


_quoted = json.encoder.encode_basestring
_ROUTE_FIELDS = [field.name for field in fields(Route)[1:]]  # without its slot
_ROUTE_LENGTH = len(_ROUTE_FIELDS)
_ROUTE_VALUES = attrgetter(*[f"slot.{field.name}" for field in fields(Slot)], *_ROUTE_FIELDS)
# What its last fields are where a rule says nothing.
_ROUTE_USUAL: tuple[Any, ...] = ({}, True, {}, None, None)
_ROUTE_LAST = attrgetter(*_ROUTE_FIELDS[-len(_ROUTE_USUAL) :])
_ROUTE_SHARED = attrgetter(*_ROUTE_FIELDS[3 : -len(_ROUTE_USUAL)])  # by the files of a folder
_MEDIA_FIELDS = tuple(field.name for field in fields(MediaFacts))
_MEDIA_VALUES = attrgetter(*_MEDIA_FIELDS)
IDENTITY = ("inode", "size", "mtime_ns", "ctime_ns")
PART_CHECKSUMS = ("checksum_part_bytes", "part_checksums")
Column = str | int | bytes | None
_STATES = {state.value: state for state in State}
_slot, _route, _transfer = maker(Slot), maker(Route), maker(Transfer)
_ENTITY_TYPES = {kind.value: kind for kind in EntityType}
_ASSET_TYPES = {kind.value: kind for kind in AssetType}
ROUTES_KEPT_MAX = 512  # 1 KB each


def identity_values(identity: StatIdentity | None) -> tuple[int | None, int | None, int | None, int | None]:
    """Return the columns of IDENTITY as stored."""
    if identity is None:
        return None, None, None, None
    return signed(identity.inode), identity.size_bytes, identity.mtime_ns, identity.ctime_ns


def identity_of(row: sqlite3.Row | Mapping[str, Any]) -> StatIdentity | None:
    """Read the four columns of an identity back; None where it is not known yet."""
    if row["mtime_ns"] is None:
        return None
    return StatIdentity(unsigned(row["inode"]), row["size"], row["mtime_ns"], row["ctime_ns"])


def json_text(value: Any) -> str:
    """Return JSON as the journal keeps it: thrice as fast as Python's, but for values of an Enum."""
    return to_json(value, fallback=dict).decode()


def route_json(route: Route) -> str:
    """Return a route as a JSON array: its slot's fields and its own, but for those at the end that are usual.

    Each step writes a transfer's row anew, and with names the route would be most of it.
    """
    if _ROUTE_LAST(route) != _ROUTE_USUAL:
        return json_text(_ROUTE_VALUES(route))
    slot, index = route.slot, "null" if route.index is None else route.index
    entity = _items(slot.session_id, slot.entity_type, slot.entity_id, slot.asset_type)
    own = f"{_quoted(slot.name)},{_quoted(route.project_id)},{_quoted(route.key)},{index}"
    return f"[{entity},{own},{_items(*_ROUTE_SHARED(route))}]"


@lru_cache(ROUTES_KEPT_MAX)
def _items(*values: str | float | None) -> str:
    """Return what is between the brackets of a JSON array; the files of a folder have the same."""
    return json_text(values)[1:-1]


@lru_cache(ROUTES_KEPT_MAX)
def route_from(text: str) -> Route:
    """Undo ``route_json``. A file that comes alone takes its steps soon, one after the other."""
    if not text.startswith("["):
        return _route_with_names(text)
    session_id, entity_type, entity_id, asset_type, name, *own = from_json(text)
    if len(own) < _ROUTE_LENGTH:
        own += _ROUTE_USUAL[len(own) - _ROUTE_LENGTH :]
    slot = (session_id, _ENTITY_TYPES[entity_type], entity_id, _ASSET_TYPES[asset_type], name)
    return _route(_slot(*slot), *own)


def _route_with_names(text: str) -> Route:
    """Read a route as older versions stored it, as an object."""
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


def transfer_from(row: sqlite3.Row | list[Any]) -> Transfer:
    """Return the transfer of a row whose first columns are TRANSFER_COLUMNS."""
    columns = row[:_COLUMNS]
    row_id, transfer_id, root, folder, name, route, state, bucket, key = columns[:9]
    inode, size, mtime_ns, ctime_ns, checksum, upload_id, part_bytes, may_upload, may_object = columns[9:18]
    recall, held, home, parked, algorithm, media = columns[28:]
    return _transfer(
        *(row_id, transfer_id, root, join(folder, name), route_from(route), _STATES[state], bucket, key),
        None if mtime_ns is None else StatIdentity(unsigned(inode), size, mtime_ns, ctime_ns),
        *(checksum, upload_id, part_bytes, bool(may_upload), bool(may_object)),
        *columns[18:28],
        None if recall is None else KnownContent(**json.loads(recall)),
        *(bool(held), home, bool(parked)),
        None if algorithm is None else Algorithm(algorithm),
        None if media is None else media_from(media),
    )


def candidate(
    *,
    row_id: int,
    transfer_id: str,
    seen: Observation,
    bucket: str,
    key: str,
    discovered_ms: int,
    awaits_lookup: bool,
) -> Transfer:
    """Return the transfer of a file that was just noticed, as reading its row would."""
    return _transfer(
        *(row_id, transfer_id, seen.root, seen.path, seen.route, State.DISCOVERED, bucket, key),
        *(None, None, None, None, False, False, None, None, None, 0, discovered_ms),
        *(None, None, None, None, None, None, awaits_lookup, seen.home, False, None, None),
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

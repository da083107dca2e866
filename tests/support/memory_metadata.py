"""The port to Convex in memory. The contract suite holds it to what the real functions do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sidecar.core.errors import ErrorKind, SidecarError
from sidecar.core.model import AssetType, EntityType, Slot
from sidecar.core.ops import (
    AssetVersion,
    Batch,
    CurrentAsset,
    Kept,
    Op,
    OpKind,
    OpResult,
    Outcome,
    Registration,
    VersionPage,
    VersionStatus,
)

OPS_MAX = 100
SLOTS_MAX = 500
HISTORY_MAX = 10
TYPES = {"video_chunk", "source_code", "thumbnail", "subtitle", "combined_video", "manifest"}


@dataclass(slots=True)
class _Place:
    """Where the newest op of a slot stands."""

    epoch: int
    seq: int
    version: int | None


@dataclass(slots=True)
class MemoryMetadata:
    """One deployment. ``calls`` keeps every batch that arrived, ``down`` is raised by every call."""

    epochs: dict[str, list[str]] = field(default_factory=dict)  # sidecar -> journal ids, oldest first
    slots: dict[tuple[str, ...], CurrentAsset] = field(default_factory=dict)
    last: dict[tuple[str, ...], int] = field(default_factory=dict)  # the newest version that a slot had
    producers: dict[tuple[str, ...], str] = field(default_factory=dict)  # who wrote what a slot holds
    written: list[tuple[str, tuple[str, ...], int, dict[str, Any]]] = field(default_factory=list)
    expired: set[tuple[tuple[str, ...], int]] = field(default_factory=set)
    applied: dict[tuple[str, str], tuple[str, OpResult]] = field(default_factory=dict)
    newest: dict[tuple[str, str, tuple[str, ...]], _Place] = field(default_factory=dict)
    calls: list[Batch] = field(default_factory=list)
    down: SidecarError | None = None

    async def probe(self) -> None:
        """Answer unless down."""
        self._answer()

    async def register(self, *, sidecar_id: str, journal_id: str) -> Registration:
        """Give each new journal the next epoch."""
        self._answer()
        journals = self.epochs.setdefault(sidecar_id, [])
        if journal_id in journals[:-1]:
            raise _refused(ErrorKind.CONFLICT, "FENCED")
        if journal_id not in journals:
            journals.append(journal_id)
        epoch = len(journals)
        seqs = [p.seq for (owner, _, _), p in self.newest.items() if owner == sidecar_id and p.epoch == epoch]
        return Registration(epoch=epoch, last_seq=max(seqs, default=0), contract_version=1)

    async def apply(self, batch: Batch, *, sidecar_id: str, epoch: int) -> Sequence[OpResult]:
        """Apply a batch whole or not at all."""
        self._answer()
        self.calls.append(batch)
        if len(batch.ops) > OPS_MAX:
            raise _refused(ErrorKind.INVALID, "BATCH_TOO_LARGE")
        newest = len(self.epochs.get(sidecar_id, []))
        if epoch > newest or newest == 0:
            raise _refused(ErrorKind.CONFLICT, "UNREGISTERED")
        if epoch < newest:
            raise _refused(ErrorKind.CONFLICT, "FENCED")
        return [self._apply(batch.session_id, op, sidecar_id, epoch) for op in batch.ops]

    async def current_assets(self, slots: Sequence[Slot]) -> Sequence[CurrentAsset | None]:
        """Look them up."""
        self._answer()
        if len(slots) > SLOTS_MAX:
            raise _refused(ErrorKind.INVALID, "BATCH_TOO_LARGE")
        return [self.slots.get(_key(slot)) for slot in slots]

    async def versions(self, *, sidecar_id: str, cursor: str | None) -> VersionPage:
        """Return pages of 100, with scenes whose history is as long as the functions keep it."""
        self._answer()
        begin = int(cursor or 0)
        mine = [row for row in self.written if row[0] == sidecar_id]
        page = tuple(self._version(slot, n, body) for _, slot, n, body in mine[begin : begin + OPS_MAX])
        more = str(begin + OPS_MAX) if len(mine) > begin + OPS_MAX else None
        return VersionPage(versions=page, cursor=more)

    async def expire(
        self, versions: Sequence[tuple[Slot, int]], *, sidecar_id: str, epoch: int
    ) -> Sequence[bool]:
        """Mark what is not shown any more."""
        self._answer()
        if epoch < len(self.epochs.get(sidecar_id, [])):
            raise _refused(ErrorKind.CONFLICT, "FENCED")
        known = {(one.slot, one.version): one.status for one in self._mine(sidecar_id)}
        marks = [known.get(name, VersionStatus.CURRENT) is not VersionStatus.CURRENT for name in versions]
        self.expired |= {(_key(slot), n) for (slot, n), mark in zip(versions, marks, strict=True) if mark}
        return marks

    def _mine(self, sidecar_id: str) -> list[AssetVersion]:
        return [self._version(slot, n, body) for owner, slot, n, body in self.written if owner == sidecar_id]

    def _version(self, slot: tuple[str, ...], version: int, body: dict[str, Any]) -> AssetVersion:
        asset, newest = body["asset"], self.last[slot]
        is_removed = slot not in self.slots and version == newest
        is_shown = newest - version <= HISTORY_MAX and not is_removed
        status = VersionStatus.CURRENT if is_shown else VersionStatus.SUPERSEDED
        return AssetVersion(
            slot=Slot(
                session_id=slot[0],
                entity_type=EntityType(slot[1]),
                entity_id=slot[2],
                asset_type=AssetType(slot[3]),
                name=slot[4],
            ),
            version=version,
            transfer=body["transfer"],
            bucket=asset["bucket"],
            key=asset["s3Key"],
            size_bytes=asset["size"],
            checksum=asset["checksum"],
            status=VersionStatus.EXPIRED if (slot, version) in self.expired else status,
            newer=newest - version,
            superseded_ms=None if newest == version else 0,
        )

    def _answer(self) -> None:
        if self.down is not None:
            raise self.down

    def _apply(self, session_id: str, op: Op, sidecar_id: str, epoch: int) -> OpResult:
        body = dict(op.body)
        if op.kind is OpKind.PUT and body["assetType"] not in TYPES:
            return OpResult(op_id=op.op_id, outcome=Outcome.REJECTED, code="UNKNOWN_TYPE", message="unknown")
        content = repr(body)
        if (seen := self.applied.get((sidecar_id, op.op_id))) is not None:
            return _again(op, seen, content)
        slot = _slot(session_id, op, body)
        place = self.newest.get((sidecar_id, session_id, slot))
        if place is not None and (epoch, op.seq) < (place.epoch, place.seq):
            result = OpResult(op_id=op.op_id, outcome=Outcome.STALE, version=place.version)
        else:
            result = self._effect(op, slot, body, sidecar_id)
            self.newest[sidecar_id, session_id, slot] = _Place(epoch, op.seq, result.version)
        self.applied[sidecar_id, op.op_id] = (content, result)
        return result

    def _effect(self, op: Op, slot: tuple[str, ...], body: dict[str, Any], sidecar_id: str) -> OpResult:
        if op.kind is OpKind.REMOVE:
            return self._remove(op, slot, sidecar_id)
        if op.kind is OpKind.FACTS:
            return OpResult(op_id=op.op_id, outcome=Outcome.APPLIED)
        asset = body["asset"]
        current, same = self.slots.get(slot), (asset["checksum"], asset["size"], asset["bucket"])
        if current is not None and (current.checksum, current.size_bytes, current.bucket) == same:
            return OpResult(
                op_id=op.op_id, outcome=Outcome.UNCHANGED, version=current.version, kept=_kept(current, asset)
            )
        version = self.last.get(slot, 0) + 1
        self.last[slot] = version
        self.producers[slot] = sidecar_id
        self.written.append((sidecar_id, slot, version, body))
        self.slots[slot] = CurrentAsset(
            bucket=asset["bucket"],
            key=asset["s3Key"],
            transfer=body["transfer"],
            checksum=asset["checksum"],
            size_bytes=asset["size"],
            version=version,
        )
        return OpResult(op_id=op.op_id, outcome=Outcome.APPLIED, version=version)

    def _remove(self, op: Op, slot: tuple[str, ...], sidecar_id: str) -> OpResult:
        current = self.slots.get(slot)
        if current is None:
            return OpResult(op_id=op.op_id, outcome=Outcome.UNCHANGED)
        if self.producers[slot] != sidecar_id:
            return OpResult(op_id=op.op_id, outcome=Outcome.STALE, version=current.version)
        del self.slots[slot]
        return OpResult(op_id=op.op_id, outcome=Outcome.APPLIED, version=current.version)


def _kept(current: CurrentAsset, asset: dict[str, Any]) -> Kept | None:
    return None if current.key == asset["s3Key"] else Kept(key=current.key, transfer=current.transfer)


def _key(slot: Slot) -> tuple[str, ...]:
    return (slot.session_id, slot.entity_type, slot.entity_id, slot.asset_type, slot.name)


def _slot(session_id: str, op: Op, body: dict[str, Any]) -> tuple[str, ...]:
    if op.kind is OpKind.FACTS:
        return (session_id, "facts", body["sceneId"])
    return (session_id, body["entityType"], body["entityId"], body["assetType"], body["name"])


def _again(op: Op, seen: tuple[str, OpResult], content: str) -> OpResult:
    if seen[0] == content:
        return replace(seen[1], outcome=Outcome.DUPLICATE, code=None, message=None)
    return OpResult(op_id=op.op_id, outcome=Outcome.REJECTED, code="OP_ID_REUSED", message="other content")


def _refused(kind: ErrorKind, code: str) -> SidecarError:
    return SidecarError(kind, code.lower(), operation="call", target="memory", code=code)

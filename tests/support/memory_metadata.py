"""The port to Convex in memory. The contract suite holds it to what the real functions do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sidecar.core.errors import ErrorKind, SidecarError
from sidecar.core.model import Slot
from sidecar.core.ops import (
    AssetVersion,
    Batch,
    CurrentAsset,
    Kept,
    Op,
    OpKind,
    OpOutcome,
    OpResult,
    Registration,
    ReportedScene,
    ScenePage,
    VersionPage,
    VersionStatus,
)
from sidecar.core.scenes import SceneFacts

from .metadata_rows import Applied, Heard, SlotKey, Version, content_of, key_of, scene_of, slot_from, slot_key

OPS_MAX = 100
SLOTS_MAX = 500
HISTORY_MAX = 10
OpName = tuple[str, str]  # (sidecar, opId)
VersionName = tuple[SlotKey, int]
TYPES = {"video_chunk", "source_code", "thumbnail", "subtitle", "combined_video", "manifest"}


@dataclass(slots=True)
class MemoryMetadata:
    """One deployment: its tables, for tests to look at, and its time. Rows are never changed in place.

    ``refused`` maps names of assets to the code with which their ops are rejected; ``history_max`` is how
    many replaced objects a scene goes on naming.
    """

    now_ms: int = 0
    history_max: int = HISTORY_MAX
    epochs: dict[str, tuple[str, ...]] = field(default_factory=dict)  # sidecar -> journal ids, oldest first
    applied: dict[OpName, Applied] = field(default_factory=dict)
    latest: dict[tuple[str, SlotKey], OpName] = field(default_factory=dict)  # (sidecar, slot)
    passed: set[OpName] = field(default_factory=set)  # applied, and not the latest of their slots
    assets: dict[SlotKey, Version] = field(default_factory=dict)
    rows: dict[VersionName, Version] = field(default_factory=dict)
    last: dict[SlotKey, int] = field(default_factory=dict)  # version
    history: dict[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)  # scene -> replaced keys
    expired: set[VersionName] = field(default_factory=set)
    deleted: set[tuple[str, str]] = field(default_factory=set)  # scenes
    facts: dict[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)
    tellers: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)  # scene -> sidecar, project
    heard: list[Heard] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)

    def copy(self) -> MemoryMetadata:
        """Return a deployment that changes by itself."""
        return MemoryMetadata(
            now_ms=self.now_ms,
            history_max=self.history_max,
            epochs=dict(self.epochs),
            applied=dict(self.applied),
            latest=dict(self.latest),
            passed=set(self.passed),
            assets=dict(self.assets),
            rows=dict(self.rows),
            last=dict(self.last),
            history=dict(self.history),
            expired=set(self.expired),
            deleted=set(self.deleted),
            facts=dict(self.facts),
            tellers=dict(self.tellers),
            heard=list(self.heard),
            refused=dict(self.refused),
        )

    async def probe(self) -> None:
        """Answer."""

    async def register(self, *, sidecar_id: str, journal_id: str) -> Registration:
        """Give each new journal the next epoch."""
        journals = self.epochs.get(sidecar_id, ())
        if journal_id in journals[:-1]:
            raise _refusal(ErrorKind.CONFLICT, "FENCED")
        if journal_id not in journals:
            self.epochs[sidecar_id] = journals = (*journals, journal_id)
        epoch = len(journals)
        newest = [self.applied[op] for (owner, _), op in self.latest.items() if owner == sidecar_id]
        last = max((row.seq for row in newest if row.epoch == epoch), default=0)
        return Registration(epoch=epoch, last_seq=last, contract_version=1)

    async def apply(self, batch: Batch, *, sidecar_id: str, epoch: int) -> Sequence[OpResult]:
        """Apply a batch whole or not at all."""
        if len(batch.ops) > OPS_MAX:
            raise _refusal(ErrorKind.INVALID, "BATCH_TOO_LARGE")
        self._require_newest(sidecar_id, epoch)
        results = [self._apply(batch.session_id, op, sidecar_id, epoch) for op in batch.ops]
        for scene in {scene_of(batch.session_id, op) for op in batch.ops if op.kind is OpKind.FACTS}:
            self.tellers[scene or ("", "")] = (sidecar_id, batch.project_id)
        self._prune(sidecar_id, epoch, batch.acked_seq)
        return results

    async def beat(self, *, sidecar_id: str, epoch: int) -> None:
        """Only fence: nobody is ever gone here."""
        self._require_newest(sidecar_id, epoch)

    async def current_assets(self, slots: Sequence[Slot]) -> Sequence[CurrentAsset | None]:
        """Look them up."""
        if len(slots) > SLOTS_MAX:
            raise _refusal(ErrorKind.INVALID, "BATCH_TOO_LARGE")
        found = [self.assets.get(key_of(slot)) for slot in slots]
        return [row.current if row else None for row in found]

    async def versions(self, *, sidecar_id: str, cursor: str | None) -> VersionPage:
        """Return pages of 100."""
        begin = int(cursor or 0)
        mine = [row for row in self.rows.values() if row.sidecar == sidecar_id]
        page = tuple(self._described(row) for row in mine[begin : begin + OPS_MAX])
        more = str(begin + OPS_MAX) if len(mine) > begin + OPS_MAX else None
        return VersionPage(versions=page, cursor=more)

    async def unfinished_scenes(self, *, sidecar_id: str, cursor: str | None) -> ScenePage:
        """Return pages of one."""
        mine = [
            scene
            for scene, (teller, _) in self.tellers.items()
            if teller == sidecar_id and self._waits(scene)
        ]
        begin = int(cursor or 0)
        page = tuple(self._told(scene) for scene in mine[begin : begin + 1])
        return ScenePage(scenes=page, cursor=str(begin + 1) if len(mine) > begin + 1 else None)

    async def expire(
        self, versions: Sequence[tuple[Slot, int]], *, sidecar_id: str, epoch: int
    ) -> Sequence[bool]:
        """Mark what is not shown any more."""
        if len(versions) > OPS_MAX:
            raise _refusal(ErrorKind.INVALID, "BATCH_TOO_LARGE")
        self._require_newest(sidecar_id, epoch)
        return [self._expire((key_of(slot), number), sidecar_id) for slot, number in versions]

    # -- ops --------------------------------------------------------------------------------------
    def _apply(self, session_id: str, op: Op, sidecar_id: str, epoch: int) -> OpResult:
        slot, content = slot_key(session_id, op), content_of(op)
        if (seen := self.applied.get((sidecar_id, op.op_id))) is not None:
            if (seen.slot, seen.content) != (slot, content):
                return _rejected(op, "OP_ID_REUSED")
            kept = self._kept(op, slot, seen.version)
            return OpResult(op_id=op.op_id, outcome=OpOutcome.DUPLICATE, version=seen.version, kept=kept)
        if (code := self._problem(op)) is not None:
            return _rejected(op, code)
        scene = scene_of(session_id, op)
        if scene in self.deleted:
            return _rejected(op, "SCENE_DELETED")
        newest = self.applied.get(self.latest.get((sidecar_id, slot), ("", "")))
        if newest is not None and (epoch, op.seq) < (newest.epoch, newest.seq):
            outcome, version = OpOutcome.STALE, newest.version
            self.passed.add((sidecar_id, op.op_id))
        else:
            outcome, version = self._take(op, slot, scene, sidecar_id)
            self._retire(sidecar_id, slot, op)
        self.applied[sidecar_id, op.op_id] = Applied(
            epoch=epoch, seq=op.seq, slot=slot, content=content, version=version
        )
        self._hear(op, epoch, scene, outcome)
        kept = self._kept(op, slot, version) if outcome is OpOutcome.UNCHANGED else None
        return OpResult(op_id=op.op_id, outcome=outcome, version=version, kept=kept)

    def _kept(self, op: Op, slot: SlotKey, version: int | None) -> Kept | None:
        """Return the object that a version names, if it is not the one that was put."""
        row = self.rows.get((slot, version or 0))
        if op.kind is not OpKind.PUT or row is None or row.key == op.body["asset"]["s3Key"]:
            return None
        return Kept(key=row.key, transfer_id=row.transfer)

    def _hear(self, op: Op, epoch: int, scene: tuple[str, str] | None, outcome: OpOutcome) -> None:
        body = op.body
        good = op.kind is OpKind.FACTS and body["complete"] and not body["owed"] and not body["error"]
        self.heard.append(
            Heard(epoch=epoch, seq=op.seq, kind=op.kind, scene=scene, outcome=outcome, is_good=bool(good))
        )

    def _problem(self, op: Op) -> str | None:
        if op.kind is OpKind.FACTS:
            return None
        return "UNKNOWN_TYPE" if op.body["assetType"] not in TYPES else self.refused.get(op.body["name"])

    def _take(
        self, op: Op, slot: SlotKey, scene: tuple[str, str] | None, sidecar_id: str
    ) -> tuple[OpOutcome, int | None]:
        match op.kind:
            case OpKind.FACTS if scene is not None:
                self.facts[scene] = dict(op.body)
                return OpOutcome.APPLIED, None
            case OpKind.REMOVE:
                return self._remove(slot, sidecar_id)
            case _:
                return self._put(op, slot, scene, sidecar_id)

    def _put(
        self, op: Op, slot: SlotKey, scene: tuple[str, str] | None, sidecar_id: str
    ) -> tuple[OpOutcome, int]:
        asset, current = op.body["asset"], self.assets.get(slot)
        same = (asset["checksum"], asset["size"], asset["bucket"])
        if current and (current.checksum, current.size_bytes, current.bucket) == same:
            return OpOutcome.UNCHANGED, current.version
        if current is not None and scene is not None:
            self.history[scene] = (*self.history.get(scene, ()), current.key)[-self.history_max :]
        row = Version(
            sidecar=sidecar_id,
            slot=slot,
            version=self.last.get(slot, 0) + 1,
            transfer=op.body["transfer"],
            bucket=asset["bucket"],
            key=asset["s3Key"],
            size_bytes=asset["size"],
            checksum=asset["checksum"],
            created_ms=self.now_ms,
        )
        self.rows[slot, row.version] = self.assets[slot] = row
        self.last[slot] = row.version
        return OpOutcome.APPLIED, row.version

    def _remove(self, slot: SlotKey, sidecar_id: str) -> tuple[OpOutcome, int | None]:
        current = self.assets.get(slot)
        if current is None:
            return OpOutcome.UNCHANGED, None
        if current.sidecar != sidecar_id:
            return OpOutcome.STALE, current.version
        del self.assets[slot]
        return OpOutcome.APPLIED, current.version

    def _waits(self, scene: tuple[str, str]) -> bool:
        facts = self.facts.get(scene)
        return facts is not None and facts["owed"] > 0 and facts["error"] is None

    def _told(self, scene: tuple[str, str]) -> ReportedScene:
        told, (session_id, scene_id) = self.facts[scene], scene
        return ReportedScene(
            project_id=self.tellers[scene][1],
            session_id=session_id,
            scene_id=scene_id,
            facts=SceneFacts(complete=told["complete"], owed=told["owed"], error=None, reason=told["reason"]),
        )

    # -- the ledger of ops ------------------------------------------------------------------------
    def _require_newest(self, sidecar_id: str, epoch: int) -> None:
        newest = len(self.epochs.get(sidecar_id, ()))
        if epoch > newest or newest == 0:
            raise _refusal(ErrorKind.CONFLICT, "UNREGISTERED")
        if epoch < newest:
            raise _refusal(ErrorKind.CONFLICT, "FENCED")

    def _retire(self, sidecar_id: str, slot: SlotKey, newer: Op) -> None:
        if (before := self.latest.get((sidecar_id, slot))) is not None:
            self.passed.add(before)
        self.latest[sidecar_id, slot] = (sidecar_id, newer.op_id)

    def _prune(self, sidecar_id: str, epoch: int, acked_seq: int) -> None:
        """Forget what no retry can name, and at once: the strictest that the contract allows."""
        for name in list(self.passed):
            row = self.applied[name]
            if name[0] == sidecar_id and (row.epoch < epoch or row.seq <= acked_seq):
                del self.applied[name]
                self.passed.discard(name)

    # -- versions ---------------------------------------------------------------------------------
    def _expire(self, name: VersionName, sidecar_id: str) -> bool:
        row = self.rows.get(name)
        if row is None or row.sidecar != sidecar_id or self._status(row) is VersionStatus.CURRENT:
            return False
        self.expired.add(name)
        return True

    def _described(self, row: Version) -> AssetVersion:
        newer = self.rows.get((row.slot, row.version + 1))
        return AssetVersion(
            slot=slot_from(row.slot),
            version=row.version,
            transfer_id=row.transfer,
            bucket=row.bucket,
            key=row.key,
            size_bytes=row.size_bytes,
            checksum=row.checksum,
            status=self._status(row),
            newer=self.last[row.slot] - row.version,
            superseded_ms=None if newer is None else newer.created_ms,
        )

    def _status(self, row: Version) -> VersionStatus:
        current, scene = self.assets.get(row.slot), (row.slot[0], row.slot[2])
        if (current is not None and current.key == row.key) or row.key in self.history.get(scene, ()):
            return VersionStatus.CURRENT
        if (row.slot, row.version) in self.expired:
            return VersionStatus.EXPIRED
        return VersionStatus.DELETED if scene in self.deleted else VersionStatus.SUPERSEDED


def _rejected(op: Op, code: str) -> OpResult:
    return OpResult(op_id=op.op_id, outcome=OpOutcome.REJECTED, code=code, message=f"refused: {code}")


def _refusal(kind: ErrorKind, code: str) -> SidecarError:
    return SidecarError(kind, code.lower(), operation="call", target="memory", code=code)

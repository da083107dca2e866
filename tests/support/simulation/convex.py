"""Convex in memory with the rows that the real functions keep (sidecar/sync/functions), and its door."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sidecar.core.errors import ErrorKind, SidecarError
from sidecar.core.ops import Batch, Kept, Op, OpKind, OpResult, Outcome, Registration

from .power import Power

Slot = tuple[str, ...]


@dataclass(slots=True, kw_only=True)
class Applied:
    """A row of ``appliedOps``."""

    epoch: int
    seq: int
    slot: Slot
    content: str
    version: int | None
    latest: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """One op that took effect, for the checker."""

    epoch: int
    seq: int
    kind: str
    scene: tuple[str, str] | None
    outcome: str
    is_good: bool  # facts: that the scene is ready


@dataclass(slots=True)
class Deployment:
    """The tables. ``refused`` maps a name of an asset to the code with which its ops are rejected."""

    assets: dict[Slot, dict[str, Any]] = field(default_factory=dict)
    versions: list[dict[str, Any]] = field(default_factory=list)
    facts: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    applied: dict[str, Applied] = field(default_factory=dict)
    journals: list[str] = field(default_factory=list)
    heard: list[Heard] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)

    def register(self, journal_id: str) -> Registration:
        """Give each new journal the next epoch."""
        if journal_id in self.journals[:-1]:
            raise _refusal("FENCED")
        if journal_id not in self.journals:
            self.journals.append(journal_id)
        epoch = len(self.journals)
        last = max((row.seq for row in self.applied.values() if row.latest and row.epoch == epoch), default=0)
        return Registration(epoch=epoch, last_seq=last, contract_version=1)

    def apply(self, batch: Batch, epoch: int) -> list[OpResult]:
        """Apply a batch whole."""
        if epoch > len(self.journals) or not self.journals:
            raise _refusal("UNREGISTERED")
        if epoch < len(self.journals):
            raise _refusal("FENCED")
        results = [self._apply(batch, epoch, op) for op in batch.ops]
        self._prune(batch, epoch)
        return results

    def _apply(self, batch: Batch, epoch: int, op: Op) -> OpResult:
        body, slot = json.loads(json.dumps(op.body)), _slot(batch.session_id, op)
        if op.kind is OpKind.PUT and (code := self.refused.get(body["name"])):
            return OpResult(
                op_id=op.op_id, outcome=Outcome.REJECTED, code=code, message="refused by the test"
            )
        content, seen = _content(op, body), self.applied.get(op.op_id)
        if seen is not None:
            if (seen.slot, seen.content) == (slot, content):
                return OpResult(
                    op_id=op.op_id,
                    outcome=Outcome.DUPLICATE,
                    version=seen.version,
                    kept=self._kept(slot, seen.version, body),
                )
            return OpResult(op_id=op.op_id, outcome=Outcome.REJECTED, code="OP_ID_REUSED", message="reused")
        newest = next((row for row in self.applied.values() if row.latest and row.slot == slot), None)
        late = newest is not None and (epoch, op.seq) < (newest.epoch, newest.seq)
        if late and newest is not None:
            outcome, version = Outcome.STALE, newest.version
        else:
            outcome, version = self._take(batch, slot, op, body)
        self._remember(op, epoch, slot, content, version, newest, late=late)
        scene = (batch.session_id, _scene(op, body) or "")
        self.heard.append(
            Heard(
                epoch=epoch,
                seq=op.seq,
                kind=op.kind,
                scene=scene if scene[1] else None,
                outcome=outcome,
                is_good=bool(body.get("complete")) and not body["owed"] and not body["error"],
            )
        )
        kept = self._kept(slot, version, body) if outcome is Outcome.UNCHANGED else None
        return OpResult(op_id=op.op_id, outcome=outcome, version=version, kept=kept)

    def _kept(self, slot: Slot, version: int | None, body: dict[str, Any]) -> Kept | None:
        """Return the object that a version names, if it is not the one that was put."""
        for row in self.versions:
            if (row["slot"], row["version"]) == (slot, version) and row["s3Key"] != body["asset"]["s3Key"]:
                return Kept(key=row["s3Key"], transfer=row["transfer"])
        return None

    def _take(self, batch: Batch, slot: Slot, op: Op, body: dict[str, Any]) -> tuple[Outcome, int | None]:
        if op.kind is OpKind.FACTS:
            self.facts[batch.session_id, body["sceneId"]] = body
            return Outcome.APPLIED, None
        asset, current = body["asset"], self.assets.get(slot)
        if current and (current["checksum"], current["size"]) == (asset["checksum"], asset["size"]):
            return Outcome.UNCHANGED, current["version"]
        version = max((row["version"] for row in self.versions if row["slot"] == slot), default=0) + 1
        row = {**asset, "slot": slot, "version": version, "transfer": body["transfer"]}
        self.versions.append(row)
        self.assets[slot] = row
        return Outcome.APPLIED, version

    def _remember(
        self,
        op: Op,
        epoch: int,
        slot: Slot,
        content: str,
        version: int | None,
        newest: Applied | None,
        *,
        late: bool,
    ) -> None:
        if newest is not None and not late:
            newest.latest = False
        self.applied[op.op_id] = Applied(
            epoch=epoch, seq=op.seq, slot=slot, content=content, version=version, latest=not late
        )

    def _prune(self, batch: Batch, epoch: int) -> None:
        """Forget what no retry can name, and at once: the strictest that the contract allows."""
        for op_id, row in list(self.applied.items()):
            if not row.latest and (row.epoch < epoch or row.seq <= batch.acked_seq):
                del self.applied[op_id]


class SimulatedConvex:
    """``MetadataStore`` for one life."""

    def __init__(self, deployment: Deployment, power: Power) -> None:
        """``deployment`` outlives us."""
        self._deployment, self._power = deployment, power

    async def probe(self) -> None:
        """``sidecar:ping``."""
        await self._power.call("convex.probe", lambda: None, changes=False)

    async def register(self, *, sidecar_id: str, journal_id: str) -> Registration:  # noqa: ARG002 - there is one
        """Announce a journal."""
        return await self._power.call(
            "convex.register", lambda: self._deployment.register(journal_id), changes=True
        )

    async def apply(self, batch: Batch, *, sidecar_id: str, epoch: int) -> Sequence[OpResult]:  # noqa: ARG002 - the port has it
        """Apply a batch."""
        return await self._power.call(
            "convex.apply", lambda: self._deployment.apply(batch, epoch), changes=True
        )


def _slot(session_id: str, op: Op) -> Slot:
    body = op.body
    if op.kind is OpKind.FACTS:
        return (session_id, "facts", body["sceneId"])
    return (session_id, body["entityType"], body["entityId"], body["assetType"], body["name"])


def _scene(op: Op, body: dict[str, Any]) -> str | None:
    if op.kind is OpKind.FACTS:
        return str(body["sceneId"])
    return str(body["entityId"]) if body["entityType"] == "scene" else None


def _content(op: Op, body: dict[str, Any]) -> str:
    if op.kind is OpKind.FACTS:
        return f"facts {body['complete']} {body['owed']} {body['error']}"
    asset = body["asset"]
    return f"put {asset['checksum']} {asset['size']} {asset['s3Key']}"


def _refusal(code: str) -> SidecarError:
    return SidecarError(ErrorKind.CONFLICT, code.lower(), operation="call", target="simulation", code=code)

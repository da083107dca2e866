"""Plain values on the wire: what the outbox says to Convex, and what Convex answers.

Every op carries ``op_id`` (minted once when it enters the outbox, reused by every retry) and ``seq``
(the outbox's AUTOINCREMENT, never a clock).
"""

from __future__ import annotations

import json
import json.encoder
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from .media_facts import FIELDS
from .model import Slot
from .scenes import SceneFacts

CONTRACT_VERSION = 3  # of the wire
MEDIA_VERSION = 2  # from here on functions know media facts of an asset, and how many chunks a scene expects
WAIT_VERSION = 3  # and ops that wait for what the application makes
_quoted = json.encoder.encode_basestring_ascii


class OpKind(StrEnum):
    """The three things that a sidecar can tell."""

    PUT = "put"  # an asset is in S3
    FACTS = "facts"  # what this sidecar knows of a scene
    REMOVE = "remove"  # an asset's local file was removed, by the removal policy


class OpOutcome(StrEnum):
    """What became of one op."""

    APPLIED = "applied"
    UNCHANGED = "unchanged"  # the slot holds this very content already
    STALE = "stale"  # the slot has seen a newer op of this sidecar
    DUPLICATE = "duplicate"  # this opId was applied before
    REJECTED = "rejected"  # refused for good; ``code`` says why
    UNKNOWN = "unknown"  # the application has not made its session or scene: nothing was done


def slot_fields(slot: Slot) -> dict[str, str]:
    """Return a slot as the wire names it within its session."""
    return {
        "entityType": str(slot.entity_type),
        "entityId": slot.entity_id,
        "assetType": str(slot.asset_type),
        "name": slot.name,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Op:
    """A row of the outbox on its way. ``text`` is its JSON object as stored, without opId, seq and kind.

    ``is_repeated``: an earlier call had it, whose answer may have been lost.
    """

    seq: int
    op_id: str
    kind: OpKind
    text: str
    is_repeated: bool = False

    @property
    def body(self) -> Mapping[str, Any]:
        """Return the JSON object, read anew."""
        body: dict[str, Any] = json.loads(self.text)
        return body

    def wire(self, contract_version: int = CONTRACT_VERSION) -> str:
        """Return the JSON object that ``lib/shapes.ts`` describes: nothing is read or written anew.

        Functions of an earlier contract refuse fields that they do not know: they are told the rest.
        """
        text = self.text if contract_version >= MEDIA_VERSION else json.dumps(self._as_first())
        head = f'{{"opId":{_quoted(self.op_id)},"seq":{self.seq},"kind":"{self.kind}"'
        return f"{head}{'' if text == '{}' else ','}{text[1:]}"

    @property
    def scene_id(self) -> str | None:
        """Return the scene that it names; None for an asset of the session."""
        body = self.body
        scene = body["sceneId"] if self.kind is OpKind.FACTS else body["entityId"]
        return None if body.get("entityType") == "session" else str(scene)

    def _as_first(self) -> Mapping[str, Any]:
        """Return the body by the first contract."""
        body = {name: value for name, value in self.body.items() if name != "expected"}
        if "asset" in body:
            body["asset"] = {name: value for name, value in body["asset"].items() if name not in FIELDS}
        return body


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """The object that a version names; ``transfer_id`` brought it."""

    key: str
    transfer_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OpResult:
    """Convex's answer for one op. ``kept``: ``version`` names this object of the same bytes, and not ours."""

    op_id: str
    outcome: OpOutcome
    version: int | None = None
    code: str | None = None
    message: str | None = None
    kept: Kept | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Ops of one session, sent as one transaction: at most 100."""

    project_id: str
    session_id: str
    acked_seq: int  # every op with a lower or equal seq is settled
    ops: tuple[Op, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CurrentAsset:
    """What a slot holds now, as Convex knows it."""

    bucket: str
    key: str
    transfer_id: str
    checksum: str
    size_bytes: int
    version: int


class VersionStatus(StrEnum):
    """What Convex makes of a version."""

    CURRENT = "current"  # its slot, or a scene's history, names the object
    SUPERSEDED = "superseded"
    DELETED = "deleted"  # its scene was
    EXPIRED = "expired"  # its object may go, or has gone


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetVersion:
    """A version that this sidecar wrote. ``newer`` counts those that came after it in its slot."""

    slot: Slot
    version: int
    transfer_id: str
    bucket: str
    key: str
    size_bytes: int
    checksum: str
    status: VersionStatus
    newer: int
    superseded_ms: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionPage:
    """Versions, and where the next page begins; None: there is none."""

    versions: tuple[AssetVersion, ...]
    cursor: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedScene:
    """A scene, and what this sidecar said of it last."""

    project_id: str
    session_id: str
    scene_id: str
    facts: SceneFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenePage:
    """Scenes, and where the next page begins; None: there is none."""

    scenes: tuple[ReportedScene, ...]
    cursor: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """Convex's answer to ``register``: the epoch of this journal, and the highest seq it has seen."""

    epoch: int
    last_seq: int
    contract_version: int

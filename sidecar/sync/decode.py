"""Checks what our functions return, and turns it into values.

A JSON number of Convex is a float64: ints are made here.
"""

from __future__ import annotations

from typing import Any

from sidecar.core.errors import ErrorKind, SidecarError
from sidecar.core.model import AssetType, EntityType, Slot
from sidecar.core.ops import (
    CONTRACT_VERSION,
    AssetVersion,
    Batch,
    CurrentAsset,
    Kept,
    OpOutcome,
    OpResult,
    Registration,
    ReportedScene,
    ScenePage,
    VersionPage,
    VersionStatus,
)
from sidecar.core.scenes import SceneFacts

from .errors import NOT_INSTALLED, malformed
from .totals import Outcome

_OUTCOMES = {str(outcome): outcome for outcome in OpOutcome}
_EXACT_MAX = 2**53  # beyond it a float64 skips integers


def check_contract(value: Any, *, at_least: int = 1) -> int:
    """Return ``contractVersion`` of ``ping`` or ``register``: ours, or an earlier one from ``at_least`` on.

    Raises SidecarError for a version that we do not speak, of a kind that opens the breaker: the queue
    stops until somebody deploys, and no asset dies of it.
    """
    version = _integer(value, "contractVersion", operation="call")
    if not at_least <= version <= CONTRACT_VERSION:
        what = f"{at_least} at least" if version < at_least else str(CONTRACT_VERSION)
        raise SidecarError(
            ErrorKind.NOT_FOUND,
            f"the deployed functions speak contract version {version}, this sidecar needs {what}",
            operation="call",
            target="sidecar:ping",
            hint=NOT_INSTALLED,
            code="CONTRACT_VERSION",
        )
    return version


def registration(value: Any) -> Registration:
    """Read the answer to ``register``. Raises SidecarError."""
    version = check_contract(value)
    return Registration(
        epoch=_integer(value, "epoch", operation="register"),
        last_seq=_integer(value, "lastSeq", operation="register"),
        contract_version=version,
    )


def results(value: Any, batch: Batch) -> list[OpResult]:
    """Read the answer to ``applyAssets``: one result per op, in order. Raises SidecarError."""
    if not isinstance(value, list) or len(value) != len(batch.ops):
        raise malformed("not one result per op", operation="apply", target=batch.session_id)
    read = [_result(item) for item in value]
    if [result.op_id for result in read] != [op.op_id for op in batch.ops]:
        raise malformed("results of other ops", operation="apply", target=batch.session_id)
    return read


def current_assets(value: Any, slots: int) -> list[CurrentAsset | None]:
    """Read the answer to ``currentAssets``: one per slot, in order. Raises SidecarError."""
    if not isinstance(value, list) or len(value) != slots:
        raise malformed("not one asset per slot", operation="current", target="slots")
    return [None if item is None else _current(item) for item in value]


def _current(item: Any) -> CurrentAsset:
    try:
        texts = {name: item[name] for name in ("bucket", "s3Key", "transfer", "checksum")}
    except (KeyError, TypeError):
        texts = {"": None}
    if not all(isinstance(text, str) for text in texts.values()):
        raise malformed(f"asset {item!r:.200}", operation="current", target="slots")
    return CurrentAsset(
        bucket=texts["bucket"],
        key=texts["s3Key"],
        transfer_id=texts["transfer"],
        checksum=texts["checksum"],
        size_bytes=_integer(item, "size", operation="current"),
        version=_integer(item, "version", operation="current"),
    )


def version_page(value: Any) -> VersionPage:
    """Read the answer to ``versions``. Raises SidecarError."""
    try:
        cursor, items = value["cursor"], value["versions"]
        versions = tuple(version_of(item) for item in items)
    except (KeyError, TypeError, ValueError):
        raise malformed(f"page {value!r:.200}", operation="versions", target="page") from None
    return VersionPage(versions=versions, cursor=None if cursor is None else str(cursor))


def scene_page(value: Any) -> ScenePage:
    """Read the answer to ``unfinishedScenes``. Raises SidecarError."""
    try:
        cursor, items = value["cursor"], value["scenes"]
        scenes = tuple(_scene(item) for item in items)
    except (KeyError, TypeError):
        raise malformed(f"page {value!r:.200}", operation="scenes", target="page") from None
    return ScenePage(scenes=scenes, cursor=None if cursor is None else str(cursor))


def marks(value: Any, versions: int, *, operation: str) -> list[bool]:
    """Read the answer to ``expire`` or ``expireVersions``: a word for each version. Raises SidecarError."""
    if not isinstance(value, list) or len(value) != versions or not all(isinstance(v, bool) for v in value):
        raise malformed(f"not one mark per version: {value!r:.100}", operation=operation, target="versions")
    return value


def recount(value: Any) -> tuple[Outcome | None, Any, int]:
    """Read the answer to ``recount``: None where there is more, what to go on with, wrong entities."""
    outcome = value.get("outcome") if isinstance(value, dict) else None
    if outcome not in {"more", "exact", "mended", "changed"}:
        raise malformed(f"recount {value!r:.200}", operation="recount", target="totals")
    wrong = _integer(value, "wrong", operation="recount")
    return None if outcome == "more" else outcome, value.get("progress"), wrong


def slot_of(item: Any) -> Slot:
    """Read the slot of an asset or a version. Raises KeyError, TypeError, ValueError for what has none."""
    return Slot(
        session_id=str(item["sessionId"]),
        entity_type=EntityType(item["entityType"]),
        entity_id=str(item["entityId"]),
        asset_type=AssetType(item["assetType"]),
        name=str(item["name"]),
    )


def version_of(item: Any) -> AssetVersion:
    """Read a version as its sidecar sees it. Raises KeyError, TypeError, ValueError for what is none."""
    superseded = item["supersededAt"]
    return AssetVersion(
        slot=slot_of(item),
        version=_integer(item, "version", operation="versions"),
        transfer_id=str(item["transfer"]),
        bucket=str(item["bucket"]),
        key=str(item["s3Key"]),
        size_bytes=_integer(item, "size", operation="versions"),
        checksum=str(item["checksum"]),
        status=VersionStatus(item["status"]),
        newer=_integer(item, "newer", operation="versions"),
        superseded_ms=None if superseded is None else int(superseded),
    )


def _scene(item: Any) -> ReportedScene:
    facts = SceneFacts(
        complete=item["complete"] is True,
        owed=_integer(item, "owed", operation="scenes"),
        error=None,
        reason=_text(item["reason"]),
    )
    return ReportedScene(
        project_id=str(item["projectId"]),
        session_id=str(item["sessionId"]),
        scene_id=str(item["sceneId"]),
        facts=facts,
    )


def _result(item: Any) -> OpResult:
    try:
        outcome = _OUTCOMES[item["outcome"]]
        op_id, named, code, message = (
            str(item["opId"]),
            item.get("kept"),
            item.get("code"),
            item.get("message"),
        )
        kept = None if named is None else Kept(key=str(named["s3Key"]), transfer_id=str(named["transfer"]))
    except (AttributeError, KeyError, TypeError, ValueError):
        raise malformed(f"result {item!r:.200}", operation="apply", target="result") from None
    return OpResult(
        op_id=op_id,
        outcome=outcome,
        version=None if item.get("version") is None else _integer(item, "version", operation="apply"),
        code=None if code is None else _text(code),
        message=None if message is None else _text(message),
        kept=kept,
    )


def _integer(value: Any, name: str, *, operation: str) -> int:
    number = value.get(name) if isinstance(value, dict) else None
    if type(number) is int and 0 <= number < _EXACT_MAX:
        return number
    if isinstance(number, bool) or not isinstance(number, int | float) or not 0 <= number < _EXACT_MAX:
        raise malformed(f"{name} is {number!r:.100}", operation=operation, target=name)
    if number != int(number):
        raise malformed(f"{name} is {number!r:.100}", operation=operation, target=name)
    return int(number)


def _text(value: Any) -> str | None:
    return None if value is None else str(value)[:1000]

"""Records what Convex made of each op: a transfer is synced, superseded, gone or a dead letter."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from sidecar.core.errors import SidecarError
from sidecar.core.model import KnownContent, State, Transfer
from sidecar.core.ops import Kept, OpKind, OpOutcome, OpResult
from sidecar.core.states import Event, step
from sidecar.journal.db.connection import JournalConnection
from sidecar.journal.db.file_conditions import IS_HERE
from sidecar.journal.db.rows import TRANSFER_COLUMNS, TRANSFERS, known_content_json, transfer_from
from sidecar.journal.db.store import Store, transaction

from .cleanup import Cleanup
from .removal_ops import RemovalOps
from .transfers import Transfers

# Alone: its slot has no other transfer, and its file lies here. Nothing is over, then, but its own way.
_TOLD = f"""
SELECT {TRANSFER_COLUMNS},
  NOT EXISTS (SELECT 1 FROM transfers o WHERE o.slot = t.slot AND o.id <> t.id)
  AND EXISTS (SELECT 1 FROM files WHERE slot = t.slot AND {IS_HERE}) AS is_alone
FROM {TRANSFERS} WHERE t.id IN (SELECT value FROM json_each(?))
"""
_ACKNOWLEDGED = """
UPDATE transfers SET state = 'synced', ended_ms = NULL, version = a.version, synced_ms = ?2,
  error_kind = NULL, error_message = NULL
FROM (SELECT value ->> 0 AS id, value ->> 1 AS version FROM json_each(?1)) AS a WHERE transfers.id = a.id
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """What an op was about."""

    transfer: Transfer
    is_alone: bool


class Answers(Store):
    """From the outbox to `synced`."""

    def __init__(
        self,
        db: JournalConnection,
        transfers: Transfers,
        removal_ops: RemovalOps,
        cleanup: Cleanup,
    ) -> None:
        super().__init__(db)
        self._transfers, self._removal_ops, self._cleanup = transfers, removal_ops, cleanup

    @transaction
    def settle(self, results: Sequence[OpResult], *, taken_back: Collection[str] = ()) -> None:
        """Record outcomes: rejected -> dead, stale -> superseded, removed -> gone, all else -> synced.

        ``taken_back``: the refused ops, by their ids, whose uploads are to be undone.
        """
        ops = self._ops([result.op_id for result in results])
        self._drop([ops[one.op_id]["seq"] for one in results if one.op_id in ops and _is_settled(ops, one)])
        told = self._told(ops.values())
        acknowledged = list[tuple[Transfer, OpResult]]()
        for result in results:
            row = ops.pop(result.op_id, None)
            if row is None:
                continue  # settled before, by an answer that came twice
            if row["kind"] == OpKind.REMOVE:
                self._removal_ops.settle_removal(row, result)
            elif result.outcome is OpOutcome.REJECTED:
                self._refuse(row, result, is_taken_back=result.op_id in taken_back)
            elif (about := told.get(row["transfer"])) is not None and _is_all(about, result):
                acknowledged.append((about.transfer, result))
            else:
                self._settle_op(about, result)
        self._acknowledge_all(acknowledged)

    @transaction
    def mark_ops_dead(self, seqs: Sequence[int], error: SidecarError) -> None:
        """Attempts spent: their transfers are dead; the ops keep their opId and seq for a requeue.

        A removal is no dead letter: its asset stays, and people decide.
        """
        for seq in seqs:
            row = self._db.execute("SELECT * FROM outbox WHERE seq = ?", [seq]).fetchone()
            if row["kind"] == OpKind.REMOVE:
                self._removal_ops.refuse_removal(row, str(error))
            else:
                self._mark_op_dead(row, error.kind, str(error))

    # -- inside a transaction ----------------------------------------------------------------------

    def _ops(self, op_ids: Sequence[str]) -> dict[str, sqlite3.Row]:
        rows = self._db.execute(
            "SELECT * FROM outbox WHERE op_id IN (SELECT value FROM json_each(?))", [json.dumps(op_ids)]
        )
        return {row["op_id"]: row for row in rows}

    def _drop(self, seqs: Sequence[int]) -> None:
        self._db.execute(
            "DELETE FROM outbox WHERE seq IN (SELECT value FROM json_each(?))", [json.dumps(seqs)]
        )

    def _told(self, ops: Iterable[sqlite3.Row]) -> dict[int, _Told]:
        """Return the transfers that ops are about, by row."""
        rows = self._db.execute(_TOLD, [json.dumps([op["transfer"] for op in ops if op["transfer"]])])
        return {row["id"]: _Told(transfer=transfer_from(row), is_alone=bool(row["is_alone"])) for row in rows}

    def _settle_op(self, told: _Told | None, result: OpResult) -> None:
        if told is None or told.transfer.state is not State.UPLOADED:
            return
        transfer = told.transfer
        if result.outcome is OpOutcome.STALE:
            self._cleanup.supersede(transfer, "Convex has newer content of this slot")
        else:
            self._acknowledge(transfer, result)
            if not told.is_alone:
                self._transfers.end_slot(transfer.route.slot.digest)
        if result.outcome is not OpOutcome.UNCHANGED:
            self._db.gathered.bring_news(transfer.route.slot.session_id, transfer.route.scene_id)
        if result.outcome is not OpOutcome.STALE and not told.is_alone:
            for older in self._transfers.of_slot(transfer, "t.state = 'dead' AND t.id < ?"):
                self._cleanup.supersede(older, "newer content of the same slot is synced")

    def _acknowledge_all(self, acknowledged: Sequence[tuple[Transfer, OpResult]]) -> None:
        """Acknowledge what changes nothing but its own transfer."""
        if not acknowledged:
            return
        rows = [(transfer.row_id, result.version) for transfer, result in acknowledged]
        self._db.execute(_ACKNOWLEDGED, [json.dumps(rows), self._db.clock.wall_ms()])
        for transfer, result in acknowledged:
            self._transfers.stepped(
                transfer,
                Event.ACKNOWLEDGED,
                step(transfer.state, Event.ACKNOWLEDGED),
                f"{result.outcome}, version {result.version}",
                size_bytes=transfer.size_bytes,
                version=result.version,
            )
            if result.outcome is not OpOutcome.UNCHANGED:
                self._db.gathered.bring_news(transfer.route.slot.session_id, transfer.route.scene_id)

    def _acknowledge(self, transfer: Transfer, result: OpResult) -> None:
        detail = f"{result.outcome}, version {result.version}"
        if result.kept is not None and result.kept.key != transfer.key:
            self._take_over_kept(transfer, result.kept, result.version)
            detail = f"{detail}: Convex keeps the same bytes as {result.kept.key}"
        self._transfers.advance(
            transfer,
            Event.ACKNOWLEDGED,
            detail,
            also={
                "version": result.version,
                "synced_ms": self._db.clock.wall_ms(),
                "error_kind": None,
                "error_message": None,
            },
        )

    def _take_over_kept(self, transfer: Transfer, kept: Kept, version: int | None) -> None:
        """Convex goes on showing an object of the same bytes: ours is deleted, and the row names that one.

        Another sidecar brought it, or this one did, before content of which Convex never heard. As after a
        recovery the named object is never a clean-up task of ours.
        """
        self._cleanup.add_object_cleanup(transfer)
        known_content = KnownContent(key=kept.key, transfer=kept.transfer_id, version=version)
        self._db.execute(
            "UPDATE transfers SET key = ?, transfer = ?, etag = NULL, version_id = NULL, recall = ?"
            " WHERE id = ?",
            [kept.key, kept.transfer_id, known_content_json(known_content), transfer.row_id],
        )

    def _refuse(self, row: sqlite3.Row, result: OpResult, *, is_taken_back: bool) -> None:
        """-> dead; an upload that is taken back has left nothing but the task to delete its object."""
        message = f"Convex refused it: {result.message or result.code or 'no reason given'}"
        kind = result.code or "rejected"
        transfer = self._transfers.find(row["transfer"]) if is_taken_back and row["transfer"] else None
        if transfer is None or not self._cleanup.is_own_upload(transfer):
            self._mark_op_dead(row, kind, message)
            return
        self._mark_op_dead(row, kind, f"{message}; its upload is taken back")
        self._db.execute("DELETE FROM outbox WHERE seq = ?", [row["seq"]])
        self._cleanup.add(transfer, delete_object=True, upload_id=None)
        self._transfers.begin_anew(transfer)

    def _mark_op_dead(self, row: sqlite3.Row, kind: str, message: str) -> None:
        if row["transfer"] is None:  # facts: what is refused now is derived anew at the next change
            self._db.execute("DELETE FROM outbox WHERE seq = ?", [row["seq"]])
            self._db.execute(
                "UPDATE scenes SET reported = NULL WHERE session_id = ? AND scene_id = ?",
                [row["session_id"], row["scene_id"]],
            )
            return
        self._db.execute("UPDATE outbox SET state = 'dead', lease = 0 WHERE seq = ?", [row["seq"]])
        transfer = self._transfers.one(row["transfer"])
        self._transfers.advance(transfer, Event.FAILED, message)
        self._db.execute(
            "UPDATE transfers SET died_in = ?, error_kind = ?, error_message = ?, failures = ? WHERE id = ?",
            [transfer.state, kind, message, row["failures"] + 1, transfer.row_id],
        )


def _is_settled(ops: Mapping[str, sqlite3.Row], result: OpResult) -> bool:
    """Tell whether an op leaves the outbox whatever its transfer has become."""
    return ops[result.op_id]["kind"] != OpKind.REMOVE and result.outcome is not OpOutcome.REJECTED


def _is_all(told: _Told, result: OpResult) -> bool:
    """Tell whether nothing follows from an acknowledgement but its transfer's own step."""
    is_kept_elsewhere = result.kept is not None and result.kept.key != told.transfer.key
    is_usual = result.outcome is not OpOutcome.STALE and not is_kept_elsewhere
    return told.is_alone and told.transfer.state is State.UPLOADED and is_usual

"""Records what Convex made of each op: a transfer is synced, superseded, gone or a dead letter."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence
from itertools import starmap
from typing import NamedTuple

from sidecar.core.errors import SidecarError
from sidecar.core.model import KnownContent, State, Transfer
from sidecar.core.ops import Kept, OpKind, OpOutcome, OpResult
from sidecar.core.states import Event
from sidecar.journal.db.connection import JournalConnection
from sidecar.journal.db.file_conditions import IS_HERE
from sidecar.journal.db.rows import join, known_content_json
from sidecar.journal.db.store import Store, transaction

from .cleanup import Cleanup
from .removal_ops import RemovalOps
from .transfers import StepRow, Transfers

# Ops with what each is about. Alone: its slot has no other transfer, and its file lies here. Nothing is over,
# then, but its own way. (It is looked for where it was: files that go together lie together, slots do not.)
_OPS = f"""
SELECT json_array(o.transfer, t.transfer, rtrim(r.path, '/'), t.folder, t.name, t.session_id, t.scene_id,
  coalesce(t.size, 0), t.ready_ms, t.version, op_id, seq, kind, t.key, t.state = 'uploaded',
  NOT EXISTS (SELECT 1 FROM transfers a WHERE a.slot = t.slot AND a.id <> t.id)
    AND EXISTS (SELECT 1 FROM files WHERE (root, folder, name) = (t.root, t.folder, t.name)
      AND slot = t.slot AND {IS_HERE})) AS one
FROM outbox o LEFT JOIN transfers t ON t.id = o.transfer LEFT JOIN roots r ON r.id = t.root
WHERE op_id IN ({{rows}})
"""


class _SentOp(NamedTuple):
    """One of those rows; nothing of a transfer where there is none."""

    row_id: int
    transfer_id: str
    root: str
    folder: str
    name: str
    session_id: str
    scene_id: str | None
    size_bytes: int
    ready_ms: int | None
    version: int | None
    op_id: str
    seq: int
    kind: str
    key: str
    is_uploaded: int
    is_alone: int


_ACKNOWLEDGED = """
WITH a (id, version, synced_ms) AS (VALUES {rows})
UPDATE transfers SET state = 'synced', ended_ms = NULL, version = a.version, synced_ms = a.synced_ms,
  error_kind = NULL, error_message = NULL
FROM a WHERE transfers.id = a.id
"""


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
        rows = self._db.over_in_one(_OPS, [(one.op_id,) for one in results])
        found = {op.op_id: op for op in starmap(_SentOp, rows)}
        # What is not there was settled before, by an answer that came twice: perhaps in this very batch.
        ops = [(found.pop(one.op_id), one) for one in results if one.op_id in found]
        self._db.over(
            "DELETE FROM outbox WHERE seq IN ({rows})",
            [(op.seq,) for op, result in ops if _is_settled(op, result)],
        )
        acknowledged = [(op, result) for op, result in ops if _is_all(op, result)]
        if len(acknowledged) < len(ops):
            for op, result in ops:
                if not _is_all(op, result):
                    self._settle_op(op, result, is_taken_back=result.op_id in taken_back)
        self._acknowledge_all(acknowledged)

    @transaction
    def mark_ops_dead(self, seqs: Sequence[int], error: SidecarError) -> None:
        """Attempts spent: their transfers are dead; the ops keep their opId and seq for a requeue.

        A removal is no dead letter: its asset stays, and people decide.
        """
        for seq in seqs:
            row = self._op(seq)
            if row["kind"] == OpKind.REMOVE:
                self._removal_ops.refuse_removal(row, str(error))
            else:
                self._mark_op_dead(row, error.kind, str(error))

    # -- inside a transaction ----------------------------------------------------------------------

    def _op(self, seq: int) -> sqlite3.Row:
        row: sqlite3.Row = self._db.execute("SELECT * FROM outbox WHERE seq = ?", [seq]).fetchone()
        return row

    def _settle_op(self, op: _SentOp, result: OpResult, *, is_taken_back: bool) -> None:
        if op.kind == OpKind.REMOVE:
            self._removal_ops.settle_removal(self._op(op.seq), result)
        elif result.outcome is OpOutcome.REJECTED:
            self._refuse(self._op(op.seq), result, is_taken_back=is_taken_back)
        elif op.is_uploaded:
            self._settle_put(self._transfers.one(op.row_id), result, is_alone=bool(op.is_alone))

    def _settle_put(self, transfer: Transfer, result: OpResult, *, is_alone: bool) -> None:
        if transfer.state is not State.UPLOADED:  # what was settled before it has ended it
            return
        if result.outcome is OpOutcome.STALE:
            self._cleanup.supersede(transfer, "Convex has newer content of this slot")
        else:
            self._acknowledge(transfer, result)
            if not is_alone:
                self._transfers.end_slot(transfer.route.slot.digest)
        if result.outcome is not OpOutcome.UNCHANGED:
            self._db.gathered.bring_news(transfer.route.slot.session_id, transfer.route.scene_id)
        if result.outcome is not OpOutcome.STALE and not is_alone:
            for older in self._transfers.of_slot(transfer, "t.state = 'dead' AND t.id < ?"):
                self._cleanup.supersede(older, "newer content of the same slot is synced")

    def _acknowledge_all(self, acknowledged: Sequence[tuple[_SentOp, OpResult]]) -> None:
        """Acknowledge what changes nothing but its own transfer."""
        synced_ms = self._db.clock.wall_ms()
        self._db.over(_ACKNOWLEDGED, [(op.row_id, result.version, synced_ms) for op, result in acknowledged])
        steps = [_step_row(op, result) for op, result in acknowledged]
        self._transfers.stepped_alike(Event.ACKNOWLEDGED, State.UPLOADED, steps)
        for op, result in acknowledged:
            if result.outcome is not OpOutcome.UNCHANGED:
                self._db.gathered.bring_news(op.session_id, op.scene_id)

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


def _is_settled(op: _SentOp, result: OpResult) -> bool:
    """Tell whether an op leaves the outbox whatever its transfer has become."""
    return op.kind != OpKind.REMOVE and result.outcome is not OpOutcome.REJECTED


def _is_all(op: _SentOp, result: OpResult) -> bool:
    """Tell whether nothing follows from an acknowledgement but its transfer's own step."""
    is_kept_elsewhere = result.kept is not None and result.kept.key != op.key
    is_usual = _is_settled(op, result) and result.outcome is not OpOutcome.STALE and not is_kept_elsewhere
    return bool(is_usual and op.is_uploaded and op.is_alone)


def _step_row(op: _SentOp, result: OpResult) -> StepRow:
    said = f"{result.outcome}, version {result.version}"
    version = op.version if result.version is None else result.version
    about = op.row_id, op.transfer_id, f"{op.root}/{join(op.folder, op.name)}", op.session_id, op.scene_id
    return (*about, op.size_bytes, op.size_bytes, said, op.ready_ms, version)

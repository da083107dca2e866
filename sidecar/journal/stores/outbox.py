"""The sync stage's half of the journal: the outbox in batches, and what Convex made of each op."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Sequence
from dataclasses import replace

from sidecar.core.errors import JournalLostError, SidecarError
from sidecar.core.model import KnownContent, State, Transfer
from sidecar.core.ops import Batch, Kept, Op, OpKind, OpOutcome, OpResult, Registration
from sidecar.core.states import Event
from sidecar.journal.db.connection import Topic, transaction
from sidecar.journal.db.meta import EPOCH, SENT_SEQ
from sidecar.journal.db.rows import known_content_json

from .uploads import Uploads

# An op may go when it is due, nobody carries it, no older op of its slot is unsettled and, if it
# reports a scene's facts, everything that was said of that scene before has been settled.
SENDABLE = """
  o.state <> 'dead' AND o.lease = 0 AND o.due <= :now
  AND NOT EXISTS (SELECT 1 FROM outbox e WHERE e.slot = o.slot AND e.state <> 'dead' AND e.seq < o.seq)
  AND (o.kind <> 'facts' OR NOT EXISTS (SELECT 1 FROM outbox e WHERE e.session_id = o.session_id
       AND e.scene_id = o.scene_id AND e.state <> 'dead' AND e.seq < o.seq))
"""


class Outbox(Uploads):
    """From the outbox to `synced`."""

    @transaction
    def registered(self, registration: Registration) -> None:
        """Remember the epoch that the server gave this journal.

        Raises JournalLostError if the server knows a later seq than this journal has sent: an old copy was
        restored. What it has written since, unsent, does not make it newer.
        """
        sent_seq = self._sent_seq()
        if registration.last_seq > sent_seq:
            raise JournalLostError(
                f"the journal {self.path} is an old copy that was restored (Convex has applied op"
                f" {registration.last_seq} of it, and it has sent no later one than {sent_seq})"
            )
        if EPOCH.read(self.db) is None:
            SENT_SEQ.write(self.db, 0)  # nothing is sent before the first registration
        self.epoch = registration.epoch
        EPOCH.write(self.db, registration.epoch)

    @transaction
    def claim_batch(
        self, *, limit: int, now: float, busy: Collection[str]
    ) -> tuple[Batch | None, float | None]:
        """Lease the oldest due ops of one session that is not ``busy``; else say when to ask again."""
        first = self._first_sendable(now, busy)
        if first is None:
            return None, self._next_op_due(now)
        rows = self.db.execute(
            "SELECT * FROM outbox o WHERE o.session_id = :session AND o.project_id = :project"
            f" AND {self._sendable()}"
            " ORDER BY o.seq LIMIT :limit",
            {"session": first["session_id"], "project": first["project_id"], "now": now, "limit": limit},
        ).fetchall()
        for row in rows:
            self.db.execute("UPDATE outbox SET state = 'sent', lease = 1 WHERE seq = ?", [row["seq"]])
        SENT_SEQ.write(self.db, max(self._sent_seq(), rows[-1]["seq"]))
        batch = Batch(
            project_id=first["project_id"],
            session_id=first["session_id"],
            acked_seq=self._acked_seq(),
            ops=tuple(_op(row) for row in rows),
        )
        return batch, None

    @transaction
    def settle(self, results: Sequence[OpResult]) -> None:
        """Record outcomes: rejected -> dead, stale -> superseded, removed -> gone, all else -> synced."""
        for result in results:
            row = self.db.execute("SELECT * FROM outbox WHERE op_id = ?", [result.op_id]).fetchone()
            if row is None:
                continue  # settled before, by an answer that came twice
            if row["kind"] == OpKind.REMOVE:
                self.settle_removal(row, result)
            elif result.outcome is OpOutcome.REJECTED:
                message = result.message or result.code or "no reason given"
                self._mark_op_dead(row, result.code or "rejected", f"Convex refused it: {message}")
            else:
                self._settle_op(row, result)
        self.topics.add(Topic.OUTBOX)

    @transaction
    def fail_ops(self, seqs: Sequence[int], error: SidecarError, *, due: float, spent: bool) -> None:
        """The call failed; the ops stay and come back at ``due`` (monotonic seconds)."""
        for seq in seqs:
            self.db.execute(
                "UPDATE outbox SET lease = 0, due = ?, failures = failures + ? WHERE seq = ?",
                [due, int(spent), seq],
            )
            self.db.execute(
                "UPDATE transfers SET error_kind = ?, error_message = ?"
                " WHERE id = (SELECT transfer FROM outbox WHERE seq = ?)",
                [error.kind, str(error), seq],
            )

    @transaction
    def hasten_ops(self) -> None:
        """Convex takes calls again: nobody waits out a backoff."""
        self.db.execute("UPDATE outbox SET due = 0 WHERE due > 0 AND lease = 0")
        self.topics.add(Topic.OUTBOX)

    @transaction
    def mark_ops_dead(self, seqs: Sequence[int], error: SidecarError) -> None:
        """Attempts spent: their transfers are dead; the ops keep their opId and seq for a requeue.

        A removal is no dead letter: its asset stays, and people decide.
        """
        for seq in seqs:
            row = self.db.execute("SELECT * FROM outbox WHERE seq = ?", [seq]).fetchone()
            if row["kind"] == OpKind.REMOVE:
                self.refuse_removal(row, str(error))
            else:
                self._mark_op_dead(row, error.kind, str(error))

    def op_failures(self, seqs: Sequence[int]) -> int:
        """Return the most attempts that any of these ops has spent."""
        marks = ",".join("?" * len(seqs))
        row = self.db.execute(f"SELECT max(failures) AS n FROM outbox WHERE seq IN ({marks})", list(seqs))
        return int(row.fetchone()["n"] or 0)

    @transaction
    def requeue(
        self, *, transfer_id: str | None = None, path: str | None = None, error_kind: str | None = None
    ) -> int:
        """Dead letters that match all given filters go back to where they died; returns how many.

        One whose slot has newer content by now is superseded instead.
        """
        rows = self.db.execute(
            "SELECT id, died_in FROM transfers WHERE state = 'dead' AND (?1 IS NULL OR transfer = ?1)"
            " AND (?2 IS NULL OR error_kind = ?2)",
            [transfer_id, error_kind],
        ).fetchall()
        letters = [(self.one(row["id"]), row["died_in"]) for row in rows]
        chosen = [(letter, died_in) for letter, died_in in letters if path is None or letter.display == path]
        for letter, died_in in chosen:
            self._requeue(letter, died_in)
        return len(chosen)

    # -- inside a transaction ----------------------------------------------------------------------

    def _requeue(self, letter: Transfer, died_in: str | None) -> None:
        if self._of_slot(letter, "t.state IN ('ready', 'uploaded', 'synced') AND t.id > ?", limit=1):
            self.supersede(letter, "its slot has newer content")
            return
        self.db.execute("UPDATE transfers SET failures = 0, due = 0 WHERE id = ?", [letter.row_id])
        if died_in == State.UPLOADED:
            self.advance(letter, Event.REQUEUED_SYNC)
            self.db.execute(
                "UPDATE outbox SET state = 'sent', failures = 0, due = 0, lease = 0 WHERE transfer = ?",
                [letter.row_id],
            )
        else:
            self.redirect_one(letter)
            self.advance(letter, Event.REQUEUED_UPLOAD)
        self.topics |= {Topic.UPLOADS, Topic.OUTBOX}
        self.report_scene(letter.route.slot.session_id, letter.route.scene_id)

    def _settle_op(self, row: sqlite3.Row, result: OpResult) -> None:
        self.db.execute("DELETE FROM outbox WHERE seq = ?", [row["seq"]])
        transfer = self.find(row["transfer"]) if row["transfer"] is not None else None
        if transfer is None or transfer.state is not State.UPLOADED:
            return
        if result.outcome is OpOutcome.STALE:
            self.supersede(transfer, "Convex has newer content of this slot")
        else:
            self._acknowledge(transfer, result)
            self.end_slot(transfer.route.slot.digest)
        if result.outcome is not OpOutcome.UNCHANGED:
            self.scene_has_news(transfer.row_id)
        if result.outcome is not OpOutcome.STALE:
            for older in self._of_slot(transfer, "t.state = 'dead' AND t.id < ?"):
                self.supersede(older, "newer content of the same slot is synced")
        self.report_scene(transfer.route.slot.session_id, transfer.route.scene_id)

    def _acknowledge(self, transfer: Transfer, result: OpResult) -> None:
        self.db.execute(
            "UPDATE transfers SET version = ?, synced_ms = ?, error_kind = NULL, error_message = NULL"
            " WHERE id = ?",
            [result.version, self.clock.wall_ms(), transfer.row_id],
        )
        detail = f"{result.outcome}, version {result.version}"
        if result.kept is not None and result.kept.key != transfer.key:
            self._take_over_kept(transfer, result.kept, result.version)
            detail = f"{detail}: Convex keeps the same bytes as {result.kept.key}"
        self.advance(replace(transfer, version=result.version), Event.ACKNOWLEDGED, detail)

    def _take_over_kept(self, transfer: Transfer, kept: Kept, version: int | None) -> None:
        """Convex goes on showing an object of the same bytes: ours goes, and the row names what is true.

        Another sidecar brought it, or we did, before content that was never told. As after a recall the
        named object is never a clean-up task of ours.
        """
        self.add_object_cleanup(transfer)
        known_content = KnownContent(key=kept.key, transfer=kept.transfer_id, version=version)
        self.db.execute(
            "UPDATE transfers SET key = ?, transfer = ?, etag = NULL, version_id = NULL, recall = ?"
            " WHERE id = ?",
            [kept.key, kept.transfer_id, known_content_json(known_content), transfer.row_id],
        )

    def _mark_op_dead(self, row: sqlite3.Row, kind: str, message: str) -> None:
        if row["transfer"] is None:  # facts: what is refused now is derived anew at the next change
            self.db.execute("DELETE FROM outbox WHERE seq = ?", [row["seq"]])
            self.db.execute(
                "UPDATE scenes SET reported = NULL WHERE session_id = ? AND scene_id = ?",
                [row["session_id"], row["scene_id"]],
            )
            return
        self.db.execute("UPDATE outbox SET state = 'dead', lease = 0 WHERE seq = ?", [row["seq"]])
        transfer = self.one(row["transfer"])
        self.advance(transfer, Event.FAILED, message)
        self.db.execute(
            "UPDATE transfers SET died_in = ?, error_kind = ?, error_message = ?, failures = ? WHERE id = ?",
            [transfer.state, kind, message, row["failures"] + 1, transfer.row_id],
        )
        self.report_scene(transfer.route.slot.session_id, transfer.route.scene_id)

    def _sendable(self) -> str:
        if not self.blocked:
            return SENDABLE
        barred = f"t.root IN ({self.blocked_roots()})"
        of_scene = "SELECT 1 FROM transfers t WHERE t.session_id = o.session_id AND t.entity_id = o.scene_id"
        return (  # whoever watches the root tells of the scenes that lie there alone
            f"{SENDABLE} AND NOT EXISTS (SELECT 1 FROM transfers t WHERE t.id = o.transfer AND {barred})"
            f" AND (o.kind <> 'facts' OR NOT EXISTS ({of_scene} AND {barred})"
            f" OR EXISTS ({of_scene} AND NOT {barred}))"
        )

    def _first_sendable(self, now: float, busy: Collection[str]) -> sqlite3.Row | None:
        marks = ",".join(f":busy{i}" for i in range(len(busy)))
        names = {f"busy{i}": session for i, session in enumerate(busy)}
        row: sqlite3.Row | None = self.db.execute(
            f"SELECT session_id, project_id FROM outbox o WHERE {self._sendable()}"
            f" AND o.session_id NOT IN ({marks}) ORDER BY o.seq LIMIT 1",
            {"now": now, **names},
        ).fetchone()
        return row

    def _next_op_due(self, now: float) -> float | None:
        row = self.db.execute(
            "SELECT min(due) AS due FROM outbox WHERE state <> 'dead' AND lease = 0 AND due > ?", [now]
        ).fetchone()
        return row["due"] if row else None

    def _sent_seq(self) -> int:
        """Return the highest seq that was ever sent; for a journal of an older version, that it has given."""
        sent_seq = SENT_SEQ.read(self.db)
        return self._last_seq() if sent_seq is None else sent_seq

    def _last_seq(self) -> int:
        row = self.db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'outbox'").fetchone()
        return int(row["seq"]) if row else 0

    def _acked_seq(self) -> int:
        """Every op up to this seq is settled. A dead letter counts as unsettled: it may be requeued."""
        row = self.db.execute("SELECT min(seq) AS seq FROM outbox").fetchone()
        return int(row["seq"]) - 1 if row["seq"] is not None else self._last_seq()


def _op(row: sqlite3.Row) -> Op:
    return Op(seq=row["seq"], op_id=row["op_id"], kind=OpKind(row["kind"]), body=json.loads(row["body"]))

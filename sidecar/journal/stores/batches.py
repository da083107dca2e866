"""Carries the outbox to Convex in batches: which ops may go, and when the others may."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Sequence

from sidecar.core.errors import JournalLostError, SidecarError
from sidecar.core.ops import Batch, Op, OpKind, Registration
from sidecar.journal.db.connection import JournalConnection, Topic
from sidecar.journal.db.meta import EPOCH, SENT_SEQ
from sidecar.journal.db.store import Store, transaction

from .roots import Roots

# An op may go when it is due, nobody carries it, no older op of its slot is unsettled and, if it
# reports a scene's facts, everything that was said of that scene before has been settled.
SENDABLE = """
  o.state <> 'dead' AND o.lease = 0 AND o.due <= :now
  AND NOT EXISTS (SELECT 1 FROM outbox e WHERE e.slot = o.slot AND e.state <> 'dead' AND e.seq < o.seq)
  AND (o.kind <> 'facts' OR NOT EXISTS (SELECT 1 FROM outbox e WHERE e.session_id = o.session_id
       AND e.scene_id = o.scene_id AND e.state <> 'dead' AND e.seq < o.seq))
"""


class Batches(Store):
    """Leased, sent, failed; ``answers.py`` says what became of them."""

    def __init__(self, db: JournalConnection, roots: Roots) -> None:
        super().__init__(db)
        self._roots = roots

    @transaction
    def registered(self, registration: Registration) -> None:
        """Remember the epoch that the server gave this journal.

        Raises JournalLostError if the server knows a later seq than this journal has sent: an old copy was
        restored. What it has written since, unsent, does not make it newer.
        """
        sent_seq = self._sent_seq()
        if registration.last_seq > sent_seq:
            raise JournalLostError(
                f"the journal {self._db.path} is an old copy that was restored (Convex has applied op"
                f" {registration.last_seq} of it, and it has sent no later one than {sent_seq})"
            )
        if EPOCH.read(self._db.conn) is None:
            SENT_SEQ.write(self._db.conn, 0)  # nothing is sent before the first registration
        self._db.epoch = registration.epoch
        EPOCH.write(self._db.conn, registration.epoch)

    @transaction
    def claim_batch(
        self, *, limit: int, now: float, busy: Collection[str]
    ) -> tuple[Batch | None, float | None]:
        """Lease the oldest due ops of one session that is not ``busy``; else say when to ask again."""
        first = self._first_sendable(now, busy)
        if first is None:
            return None, self._next_op_due(now)
        rows = self._db.execute(
            "SELECT * FROM outbox o WHERE o.session_id = :session AND o.project_id = :project"
            f" AND {self._sendable()}"
            " ORDER BY o.seq LIMIT :limit",
            {"session": first["session_id"], "project": first["project_id"], "now": now, "limit": limit},
        ).fetchall()
        self._db.execute(
            "UPDATE outbox SET state = 'sent', lease = 1 WHERE seq IN (SELECT value FROM json_each(?))",
            [json.dumps([row["seq"] for row in rows])],
        )
        SENT_SEQ.write(self._db.conn, max(self._sent_seq(), rows[-1]["seq"]))
        batch = Batch(
            project_id=first["project_id"],
            session_id=first["session_id"],
            acked_seq=self._acked_seq(),
            ops=tuple(_op(row) for row in rows),
        )
        return batch, None

    @transaction
    def fail_ops(self, seqs: Sequence[int], error: SidecarError, *, due: float, spent: bool) -> None:
        """The call failed; the ops stay and come back at ``due`` (monotonic seconds)."""
        for seq in seqs:
            self._db.execute(
                "UPDATE outbox SET lease = 0, due = ?, failures = failures + ? WHERE seq = ?",
                [due, int(spent), seq],
            )
            self._db.execute(
                "UPDATE transfers SET error_kind = ?, error_message = ?"
                " WHERE id = (SELECT transfer FROM outbox WHERE seq = ?)",
                [error.kind, str(error), seq],
            )

    @transaction
    def hasten_ops(self) -> None:
        """Convex takes calls again: nobody waits out a backoff."""
        self._db.execute("UPDATE outbox SET due = 0 WHERE due > 0 AND lease = 0")
        self._db.topics.add(Topic.OUTBOX)

    def op_failures(self, seqs: Sequence[int]) -> int:
        """Return the most attempts that any of these ops has spent."""
        marks = ",".join("?" * len(seqs))
        row = self._db.execute(f"SELECT max(failures) AS n FROM outbox WHERE seq IN ({marks})", list(seqs))
        return int(row.fetchone()["n"] or 0)

    # -- which ops may go --------------------------------------------------------------------------

    def _sendable(self) -> str:
        if not self._roots.blocked:
            return SENDABLE
        blocked = f"t.root IN ({self._roots.blocked_roots()})"
        of_scene = "SELECT 1 FROM transfers t WHERE t.session_id = o.session_id AND t.entity_id = o.scene_id"
        return (  # whoever watches the root reports the scenes that lie there alone
            f"{SENDABLE} AND NOT EXISTS (SELECT 1 FROM transfers t WHERE t.id = o.transfer AND {blocked})"
            f" AND (o.kind <> 'facts' OR NOT EXISTS ({of_scene} AND {blocked})"
            f" OR EXISTS ({of_scene} AND NOT {blocked}))"
        )

    def _first_sendable(self, now: float, busy: Collection[str]) -> sqlite3.Row | None:
        marks = ",".join(f":busy{i}" for i in range(len(busy)))
        names = {f"busy{i}": session for i, session in enumerate(busy)}
        row: sqlite3.Row | None = self._db.execute(
            f"SELECT session_id, project_id FROM outbox o WHERE {self._sendable()}"
            f" AND o.session_id NOT IN ({marks}) ORDER BY o.seq LIMIT 1",
            {"now": now, **names},
        ).fetchone()
        return row

    def _next_op_due(self, now: float) -> float | None:
        row = self._db.execute(
            "SELECT min(due) AS due FROM outbox WHERE state <> 'dead' AND lease = 0 AND due > ?", [now]
        ).fetchone()
        return row["due"] if row else None

    def _sent_seq(self) -> int:
        """Return the highest seq that was ever sent; for a journal of an older version, that it has given."""
        sent_seq = SENT_SEQ.read(self._db.conn)
        return self._last_seq() if sent_seq is None else sent_seq

    def _last_seq(self) -> int:
        row = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'outbox'").fetchone()
        return int(row["seq"]) if row else 0

    def _acked_seq(self) -> int:
        """Every op up to this seq is settled. A dead letter counts as unsettled: it may be requeued."""
        row = self._db.execute("SELECT min(seq) AS seq FROM outbox").fetchone()
        return int(row["seq"]) - 1 if row["seq"] is not None else self._last_seq()


def _op(row: sqlite3.Row) -> Op:
    return Op(seq=row["seq"], op_id=row["op_id"], kind=OpKind(row["kind"]), body=json.loads(row["body"]))

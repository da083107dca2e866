"""Carries the outbox to Convex in batches: which ops may go, and when the others may."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import starmap
from types import MappingProxyType
from typing import NamedTuple

from sidecar.core.batching import WaitingOps, due_at
from sidecar.core.errors import JournalLostError, SidecarError
from sidecar.core.makers import maker
from sidecar.core.ops import Batch, Op, OpKind, Registration
from sidecar.core.unknown_entities import ITSELF, UnknownOfSession, dues, is_waiting, waiting_scenes
from sidecar.journal.db.connection import JournalConnection, Rare, Topic
from sidecar.journal.db.meta import EPOCH, SENT_SEQ
from sidecar.journal.db.rows import IS_OPEN
from sidecar.journal.db.store import Store, transaction

from .roots import Roots
from .upload_claims import UploadClaims

# An op may go when it is due, nobody carries it, no older op of its slot is unsettled and, if it
# reports a scene's facts, everything that was said of that scene before has been settled.
SENDABLE = """
  o.state <> 'dead' AND o.lease = 0 AND o.due <= :now
  AND NOT EXISTS (SELECT 1 FROM outbox e WHERE e.slot = o.slot AND e.state <> 'dead' AND e.seq < o.seq)
  AND (o.kind <> 'facts' OR NOT EXISTS (SELECT 1 FROM outbox e WHERE e.session_id = o.session_id
       AND e.scene_id = o.scene_id AND e.state <> 'dead' AND e.seq < o.seq))
"""

# The sessions that have ops, one step in the index for each: what waits of one is not walked for another.
SESSIONS = """
WITH RECURSIVE found (id) AS (
  SELECT min(session_id) FROM outbox WHERE state <> 'dead'
  UNION ALL
  SELECT (SELECT min(session_id) FROM outbox WHERE state <> 'dead' AND session_id > found.id)
    FROM found WHERE found.id IS NOT NULL
)
SELECT id FROM found WHERE id IS NOT NULL AND id NOT IN (SELECT value FROM json_each(?))
ORDER BY (SELECT min(seq) FROM outbox WHERE state <> 'dead' AND session_id = found.id)
"""


_KINDS = {kind.value: kind for kind in OpKind}
_new_op = maker(Op)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedBatches:
    """Ops that are ours until they are settled or have failed.

    ``due`` (monotonic) is when more may go by time alone. ``is_gathering``: a session's ops wait for its
    files. Not ``is_all``: more may go once one of these is settled.
    """

    batches: tuple[Batch, ...]
    due: float | None
    is_gathering: bool
    is_all: bool


class _WaitingOp(NamedTuple):
    """What is asked of an op that may go."""

    seq: int
    op_id: str
    kind: str
    body: str
    state: str
    project_id: str
    session_id: str
    scene_id: str | None


_ASKED = ", ".join(f"o.{name}" for name in _WaitingOp._fields)


class Batches(Store):
    """Leased, sent, failed; ``answers.py`` says what became of them."""

    def __init__(self, db: JournalConnection, roots: Roots, upload_claims: UploadClaims) -> None:
        super().__init__(db)
        self._roots, self._upload_claims = roots, upload_claims
        self._since: dict[str, float] = {}  # of sessions that gather, monotonic: it dies with the process

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
    def claim_batches(
        self,
        *,
        limit: int,
        now: float,
        busy: Collection[str] = (),
        sessions_max: int = 1,
        wait_seconds: float = 0.0,
        unknown: Mapping[str, UnknownOfSession] = MappingProxyType({}),
    ) -> ClaimedBatches:
        """Lease the ops that go now: the oldest ``limit`` of each session that is not ``busy``.

        Of ``sessions_max`` sessions, the one with the oldest op first. ``core/batching.py`` decides which
        gather instead, for ``wait_seconds`` at most. Of what is ``unknown`` one op asks, when it may.
        """
        going, gathering = list[Sequence[_WaitingOp]](), dict[str, WaitingOps]()
        sessions = self._sessions(busy)
        for session in sessions:
            missing = unknown.get(session, {})
            if not (ops := self._sendable_of(session, missing, now=now, limit=limit)):
                continue
            waiting = self._waiting(session, ops, limit=limit, now=now)
            if due_at(waiting, most=limit, wait_seconds=wait_seconds) > now:
                gathering[session] = waiting
            else:
                going.append(ops)
            if len(going) == sessions_max:
                break
        self._since = {session: waiting.since for session, waiting in gathering.items()}
        gathered = [since + wait_seconds for since in self._since.values()]
        return ClaimedBatches(
            batches=self._leased(going),
            due=min([*gathered, *self._next_op_due(now), *dues(unknown, now=now)], default=None),
            is_gathering=any(waiting.files_wait for waiting in gathering.values()),
            is_all=next(sessions, None) is None and not any(self._has_more(ops) for ops in going),
        )

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
        self._db.none_of.discard(Rare.DELAYED_OPS)
        self._db.topics.add(Topic.OUTBOX)  # work for whoever waits for the next time that is due

    @transaction
    def release_ops(self, seqs: Sequence[int]) -> None:
        """Nothing was done with them, at nobody's cost: they wait for what they name."""
        self._db.execute(
            "UPDATE outbox SET lease = 0 WHERE seq IN (SELECT value FROM json_each(?))", [json.dumps(seqs)]
        )
        self._db.topics.add(Topic.OUTBOX)

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

    def _sessions(self, busy: Collection[str]) -> Iterator[str]:
        """Yield the sessions that have ops, the one with the oldest first."""
        rows = self._db.execute(SESSIONS, [json.dumps(list(busy))]).fetchall()
        return (row["id"] for row in rows)

    def _sendable_of(
        self, session: str, unknown: UnknownOfSession, *, now: float, limit: int
    ) -> Sequence[_WaitingOp]:
        """Return a session's oldest ops that may go; all of them are of one project."""
        if is_waiting(unknown, now=now):
            return []
        waiting = waiting_scenes(unknown, now=now)
        others = " AND ifnull(o.scene_id, '') NOT IN (SELECT value FROM json_each(:waiting))"
        rows = self._db.in_one(
            f"SELECT json_array({_ASKED}) AS one FROM outbox o"
            f" WHERE o.session_id = :session AND {self._sendable()}{others if waiting else ''}"
            " ORDER BY o.seq LIMIT :limit",
            {"session": session, "now": now, "limit": limit, "waiting": json.dumps(waiting)},
        )
        ops = list(starmap(_WaitingOp, rows))
        ops = [op for op in ops if op.project_id == ops[0].project_id]
        return _one_of_each(ops, unknown) if unknown else ops

    def _waiting(self, session: str, ops: Sequence[_WaitingOp], *, limit: int, now: float) -> WaitingOps:
        return WaitingOps(
            count=len(ops),
            since=self._since.get(session, now),
            only_openings=all(_is_opening(op) for op in ops),
            files_wait=len(ops) < limit and self._files_wait(session, now),
        )

    def _files_wait(self, session: str, now: float) -> bool:
        """Tell whether files of a session wait for a place; while there are places none waits for long.

        Films may wait for a place until others are through, so no op waits for them.
        """
        if not self._upload_claims.are_full:
            return False
        row = self._db.execute(
            f"SELECT 1 FROM transfers t WHERE session_id = ? AND {IS_OPEN} AND state = 'ready' AND lease = 0"
            " AND held = 0 AND parked = 0 AND due <= ? AND size < ?"
            f" AND root NOT IN ({self._roots.blocked_roots()}) LIMIT 1",
            [session, now, self._upload_claims.part_bytes],
        ).fetchone()
        return row is not None

    def _leased(self, found: Sequence[Sequence[_WaitingOp]]) -> tuple[Batch, ...]:
        if not found:
            return ()
        seqs = [op.seq for ops in found for op in ops]
        self._db.over(
            "UPDATE outbox SET state = 'sent', lease = 1 WHERE seq IN ({rows})", [(seq,) for seq in seqs]
        )
        SENT_SEQ.write(self._db.conn, max(self._sent_seq(), *seqs))
        acked_seq = self._acked_seq()
        return tuple(
            Batch(
                project_id=ops[0].project_id,
                session_id=ops[0].session_id,
                acked_seq=acked_seq,
                ops=tuple(_op(op) for op in ops),
            )
            for ops in found
        )

    def _has_more(self, ops: Sequence[_WaitingOp]) -> bool:
        """Tell whether a session has ops beside those that were leased: these may let them go."""
        row = self._db.execute(
            "SELECT 1 FROM outbox WHERE session_id = ? AND state <> 'dead' AND lease = 0 LIMIT 1",
            [ops[0].session_id],
        ).fetchone()
        return row is not None

    def _next_op_due(self, now: float) -> list[float]:
        if Rare.DELAYED_OPS in self._db.none_of:
            return []
        row = self._db.execute(
            "SELECT min(due) AS due FROM outbox WHERE state <> 'dead' AND lease = 0 AND due > 0 AND due > ?",
            [now],
        ).fetchone()
        if row["due"] is None:
            self._db.none_of.add(Rare.DELAYED_OPS)
            return []
        return [row["due"]]

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


def _op(waiting: _WaitingOp) -> Op:
    return _new_op(waiting.seq, waiting.op_id, _KINDS[waiting.kind], waiting.body, waiting.state == "sent")


def _one_of_each(ops: Sequence[_WaitingOp], unknown: UnknownOfSession) -> Sequence[_WaitingOp]:
    """Leave one op, the oldest, of each scene that is unknown, or of the session if that is."""
    if ITSELF in unknown:
        return ops[:1]
    first = {op.scene_id: op.seq for op in reversed(ops)}
    return [op for op in ops if op.scene_id not in unknown or first[op.scene_id] == op.seq]


def _is_opening(op: _WaitingOp) -> bool:
    """Tell whether an op says no more of a scene than that something is on its way."""
    if op.kind != OpKind.FACTS:
        return False
    facts = json.loads(op.body)
    return bool(facts.get("owed")) and facts.get("error") is None

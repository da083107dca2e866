"""Says who works on an upload: a lease is taken on what is ready, given back, or void with its process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from sidecar.core.errors import SidecarError
from sidecar.core.model import State, Transfer
from sidecar.core.upload_order import ANY
from sidecar.journal.db.connection import JournalConnection, Rare, Topic
from sidecar.journal.db.rows import FROM_TRANSFERS, TRANSFER_COLUMNS, TRANSFERS, transfer_from
from sidecar.journal.db.store import Store, transaction

from .cleanup import Cleanup
from .roots import Roots
from .transfers import Transfers

_BEGUN = "EXISTS (SELECT 1 FROM parts p WHERE p.transfer = t.id)"
_IS_DUE = """
  t.state = 'ready' AND t.lease = 0 AND t.held = 0 AND t.parked = 0 AND t.due <= ?1
  AND NOT EXISTS (SELECT 1 FROM transfers o WHERE o.slot = t.slot AND o.lease = 1)
  AND t.root NOT IN ({roots}) AND t.priority BETWEEN ?5 AND ?3 AND (t.priority < ?3 OR t.size < ?4)
"""
_FIRST = "ORDER BY priority, id LIMIT ?2"
# Seldom any, and what it takes to put them first costs as much as all the rest.
_MAY_BE_BEGUN = "SELECT 1 FROM transfers WHERE state = 'ready' AND lease = 0 AND may_upload = 1 LIMIT 1"
_MAY_BE_OPEN = "SELECT 1 FROM transfers WHERE may_upload = 1 LIMIT 1"
_OLDEST_FIRST = f"""
SELECT json_array({TRANSFER_COLUMNS}, t.slot, {_BEGUN}) AS one
FROM transfers t CROSS JOIN roots r ON r.id = t.root
WHERE {_IS_DUE} ORDER BY t.priority, t.id LIMIT ?2
"""
_DUE = f"SELECT id, slot, priority, {_BEGUN} AS begun FROM transfers t WHERE {_IS_DUE}"
_BEGUN_FIRST = f"""
SELECT json_array({TRANSFER_COLUMNS}, t.slot, {_BEGUN}) AS one FROM {TRANSFERS}
WHERE t.id IN (SELECT min(id) FROM (
  SELECT id, slot FROM (SELECT * FROM ({_DUE} AND may_upload = 1 AND begun {_FIRST})
  UNION SELECT * FROM ({_DUE} {_FIRST})) ORDER BY priority, begun DESC, id LIMIT ?2) GROUP BY slot)
ORDER BY t.priority, {_BEGUN} DESC, t.id
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Rows that are ours until released, advanced, or the process ends; else when to ask again."""

    transfers: tuple[Transfer, ...]
    begun: frozenset[int]  # those of which S3 has parts
    intended: frozenset[int]  # those whose PUT may begin: it is noted that their objects may exist
    is_full: bool  # as many as were asked for: more may be due
    next_due: (
        float | None
    )  # monotonic seconds of the earliest row that waits, if all were claimed that are due


class UploadClaims(Store):
    """A lease is activity; it ends with the process at the latest."""

    def __init__(self, db: JournalConnection, transfers: Transfers, cleanup: Cleanup, roots: Roots) -> None:
        super().__init__(db)
        self._transfers, self._cleanup, self._roots = transfers, cleanup, roots
        self.are_full = False  # in memory: the last claim filled all places, so what is ready waits for one
        self.part_bytes = ANY  # in memory: what is as large may wait for films, for long

    @transaction
    def claim_uploads(
        self,
        *,
        limit: int,
        now: float,
        light_limit: int = 0,
        priority: int = ANY,
        shorter_than_bytes: int = ANY,
        least_priority: int = 0,
        part_bytes: int = ANY,
        intend_below_bytes: int = 0,
    ) -> Claim:
        """Lease ready transfers that are due; never two of one slot at once.

        By priority; of equal priority what is begun is finished first, the rest by age. An upload that was
        opened and has no parts is not begun: on a slow line many are. Only what is more urgent than
        ``priority``, or as urgent and shorter, and not more urgent than ``least_priority``. What has
        ``part_bytes`` or more goes in parts.

        What is shorter than ``intend_below_bytes`` is light: up to ``light_limit`` go while all are. If
        nothing of it can be at S3 yet it is claimed with its intent, as ``begin_put`` notes it. The transfer
        says how it was before: there is nothing to look for. If nothing is asked of S3 in the end,
        ``take_back_intent``, or ``release`` as ``never_asked``.
        """
        self.part_bytes = part_bytes
        most = max(limit, light_limit)
        rows = self._due([now, most, priority, shorter_than_bytes, least_priority])
        due = [_claimed(row) for row in rows]
        crowd = sum(1 for _ in takewhile(lambda one: one.size_bytes < intend_below_bytes, due))
        room = most if crowd == len(due) else max(limit, crowd)
        transfers, is_full = due[:room], len(due) >= room
        intended = [one for one in transfers if _is_new(one) and one.size_bytes < intend_below_bytes]
        self._lease(transfers, intended)
        self._transfers.uploads_began |= dict.fromkeys([one.row_id for one in transfers], now)
        is_any = (priority, shorter_than_bytes, least_priority) == (ANY, ANY, 0)
        if (is_full and least_priority == 0) or is_any:
            self.are_full = is_full
        return Claim(
            transfers=tuple(transfers),
            intended=frozenset([one.row_id for one in intended]),
            begun=frozenset([row[0] for row in rows[: len(transfers)] if row[-1]]),
            is_full=is_full,
            next_due=None if is_full else self._next_upload_due(now),
        )

    @transaction
    def release(self, row_id: int, *, never_asked: bool = False) -> None:
        """Give a lease back without a result; what a superseded transfer left at S3 is to be cleaned up.

        ``never_asked``: no PUT or Complete was begun, now or before, so that no object can be there.
        """
        self._transfers.uploads_began.pop(row_id, None)
        if never_asked:
            self._db.gathered.intents.pop(row_id, None)
        self._db.execute(
            "UPDATE transfers SET lease = 0, may_object = may_object AND NOT ? WHERE id = ?",
            [never_asked, row_id],
        )
        transfer = self._transfers.one(row_id)
        if transfer.state is State.SUPERSEDED:
            self._cleanup.add_cleanup(transfer)
        self._db.topics.add(Topic.UPLOADS)

    @transaction
    def take_back_intent(self, row_id: int) -> None:
        """Nothing was asked of S3 under the intent that came with the claim: no object can be there."""
        self._db.execute("UPDATE transfers SET may_object = 0 WHERE id = ?", [row_id])

    @transaction
    def fail_upload(self, row_id: int, error: SidecarError, *, due: float, spent: bool) -> None:
        """Remember a failure, and release the lease until ``due`` (monotonic seconds)."""
        self._db.execute(
            "UPDATE transfers SET lease = 0, due = ?, failures = failures + ?, error_kind = ?,"
            " error_message = ? WHERE id = ?",
            [due, int(spent), error.kind, str(error), row_id],
        )
        self._db.none_of.discard(Rare.DELAYED_UPLOADS)
        transfer = self._transfers.one(row_id)
        self._transfers.uploads_began.pop(row_id, None)
        self._transfers.record(transfer, "failed", transfer.state, str(error))
        if transfer.state is State.SUPERSEDED:
            self._cleanup.add_cleanup(transfer)

    def void_leases(self) -> None:
        """Void all leases and due times: they belonged to a process that is no more."""
        with self._db.atomic():
            for row in self._db.execute(
                f"{FROM_TRANSFERS} WHERE t.lease = 1 AND t.state = 'superseded'"
            ).fetchall():
                self._cleanup.add_cleanup(transfer_from(row))
            self._db.execute("UPDATE transfers SET lease = 0 WHERE lease = 1")
            self._db.execute("UPDATE transfers SET due = 0 WHERE state = 'ready' AND lease = 0 AND due > 0")
            self._db.execute("UPDATE outbox SET lease = 0, due = 0 WHERE lease = 1 OR due > 0")
            self._db.execute("UPDATE debts SET due = 0 WHERE due > 0")

    def _lease(self, transfers: Sequence[Transfer], intended: Sequence[Transfer]) -> None:
        """Take the leases, and note the intents: one change of each row."""
        new = {one.row_id for one in intended}
        others = [(one.row_id,) for one in transfers if one.row_id not in new]
        self._db.over("UPDATE transfers SET lease = 1 WHERE id IN ({rows})", others)
        self._db.over(
            "UPDATE transfers SET lease = 1, may_object = 1 WHERE id IN ({rows})",
            [(row_id,) for row_id in new],
        )
        if self._db.may_recall:
            for one in intended:
                self._db.gathered.bring_news(one.route.slot.session_id, one.route.scene_id)

    def _due(self, given: Sequence[float]) -> list[list[Any]]:
        """Return what may be claimed, in its order; the last column tells whether it is begun."""
        roots = self._roots.blocked_roots()
        if self._may_be_begun():
            return self._db.in_one(_BEGUN_FIRST.format(roots=roots), given)
        rows = self._db.in_one(_OLDEST_FIRST.format(roots=roots), given)
        of_slots = {row[-2]: row for row in reversed(rows)}  # the oldest of each
        return [row for row in rows if of_slots[row[-2]] is row]

    def _may_be_begun(self) -> bool:
        if Rare.OPEN_UPLOADS in self._db.none_of:
            return False
        if self._db.execute(_MAY_BE_OPEN).fetchone() is None:
            self._db.none_of.add(Rare.OPEN_UPLOADS)
            return False
        return self._db.execute(_MAY_BE_BEGUN).fetchone() is not None

    def _next_upload_due(self, now: float) -> float | None:
        if Rare.DELAYED_UPLOADS in self._db.none_of:
            return None
        row = self._db.execute(
            "SELECT min(due) AS due FROM transfers"
            " WHERE state = 'ready' AND lease = 0 AND due > 0 AND due > ?",
            [now],
        ).fetchone()
        if row["due"] is None:
            self._db.none_of.add(Rare.DELAYED_UPLOADS)
            return None
        return float(row["due"])


def _claimed(row: list[Any]) -> Transfer:
    transfer = transfer_from(row)
    transfer.route.slot.know_digest(row[-2])
    return transfer


def _is_new(transfer: Transfer) -> bool:
    """Tell whether nothing of a transfer can be at S3."""
    return not (transfer.may_object or transfer.may_upload) and transfer.known_content is None

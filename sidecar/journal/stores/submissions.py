"""Takes in what a program hands over by itself: noticed and complete in one transaction, without a watcher.

The program says what the file means (its route), and that it is complete; whoever submits has read it. Of a
slot there is one file: the newest that was handed over, wherever it lies. So the same asset from another path
is its next version, and no second source.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sidecar.core.model import Fingerprint, Observation, State, StoredObject, Transfer
from sidecar.journal.db.connection import JournalConnection
from sidecar.journal.db.file_conditions import OF_SLOT
from sidecar.journal.db.rows import FROM_TRANSFERS, split, transfer_from
from sidecar.journal.db.store import Store, together, transaction

from .completion import Completion
from .discovery import Discovery
from .files import Files
from .first_sight import FirstSight, is_plain
from .repairs import Repairs
from .transfers import Transfers
from .uploads import Uploads

_GIVEN_UP = frozenset({State.DEAD, State.SUPERSEDED, State.GONE, State.ABANDONED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """The transfer that brings the content, which may have been on its way; or why there is none.

    ``delivered`` is the one that brought it before: nothing was taken in.
    """

    transfer: Transfer | None = None
    refused: str | None = None
    delivered: Transfer | None = None


class Submissions(Store):
    """From a program's own file to `ready`."""

    def __init__(
        self,
        db: JournalConnection,
        transfers: Transfers,
        completion: Completion,
        files: Files,
        uploads: Uploads,
        repairs: Repairs,
        discovery: Discovery,
        first_sight: FirstSight,
    ) -> None:
        super().__init__(db)
        self._uploads, self._first_sight = uploads, first_sight
        self._transfers, self._completion = transfers, completion
        self._files, self._repairs, self._discovery = files, repairs, discovery

    def delivered(self, seen: Observation, fingerprint: Fingerprint) -> Transfer | None:
        """Return the slot's newest synced transfer, if it has this very content."""
        row = self._db.execute(
            f"{FROM_TRANSFERS} WHERE t.slot = ? AND t.state = 'synced' ORDER BY t.id DESC LIMIT 1",
            [seen.route.slot.digest],
        ).fetchone()
        newest = transfer_from(row) if row is not None else None
        content = (fingerprint.checksum, fingerprint.size_bytes)
        return newest if newest and (newest.checksum, newest.size_bytes) == content else None

    @transaction
    def submit_all(self, submissions: Sequence[tuple[Observation, Fingerprint]]) -> list[Submission]:
        """Submit many, as ``submit`` does; those whose places, slots and keys nobody had are quickest."""
        unknown = self._discovery.nothing_is_known([seen for seen, _ in submissions])
        first = [number for number in sorted(unknown.first) if is_plain(*submissions[number])]
        row_ids = self._first_sight.take([submissions[number] for number in first])
        ready, rows = self._transfers.some(row_ids), dict(zip(first, row_ids, strict=True))
        return [
            Submission(transfer=ready[rows[number]])
            if number in rows
            else self._submit_again(seen, fingerprint)
            for number, (seen, fingerprint) in enumerate(submissions)
        ]

    @together(submit_all)
    @transaction
    def submit(self, seen: Observation, fingerprint: Fingerprint) -> Submission:
        """-> ready, or what brings the very same content already; a dead letter of it goes once more.

        Content that was delivered before is told, and not taken in: the caller asks Convex whether it shows
        it still.
        """
        return self.submit_all([(seen, fingerprint)])[0]

    @transaction
    def submit_delivered(
        self, seen: Observation, fingerprint: Fingerprint, *, outdated: int | None = None
    ) -> Submission:
        """Do as ``submit`` does with content that may have been delivered before.

        ``outdated`` is the row of a synced transfer that Convex shows no more: its bytes are sent anew.
        """
        self._let_slot_follow(seen, outdated)
        (result,) = self._files.observe([seen])
        if result.refused is not None:
            return Submission(refused=result.refused)
        if result.candidate is not None:
            self._completion.complete(result.candidate.row_id, fingerprint, outdated=outdated)
        newest = self._transfers.one(self._newest(seen))
        if newest.state is State.DEAD:
            self._repairs.requeue(transfer_id=newest.transfer_id)
            newest = self._transfers.one(newest.row_id)
        return Submission(transfer=newest)

    @transaction
    def announce(
        self,
        seen: Observation,
        fingerprint: Fingerprint,
        stored: StoredObject,
        *,
        url: str,
        outdated: int | None = None,
    ) -> Submission:
        """-> uploaded, with its op in the outbox: S3 has it, and nothing of it is to be sent.

        ``outdated`` as ``submit_delivered`` says.
        """
        found = self.submit_delivered(seen, fingerprint, outdated=outdated)
        if found.transfer is None or found.transfer.state is not State.READY:
            return found
        row_id = found.transfer.row_id
        self._db.execute("UPDATE transfers SET lease = 1 WHERE id = ?", [row_id])
        self._uploads.uploaded(found.transfer, stored, url=url)
        return Submission(transfer=self._transfers.one(row_id))

    @transaction
    def drop_changed(self, row_id: int) -> Transfer | None:
        """End what became of a transfer whose file changed on the way: nobody says that it is complete.

        Returns newer content of its slot that is on its way or arrived, None if there is none.
        """
        transfer = self._transfers.one(row_id)
        for candidate in self._transfers.of_slot(transfer, "t.state = 'discovered' AND t.id > ?"):
            self._completion.vanish_transfer(candidate)
        newer = self._transfers.of_slot(
            transfer, "t.state IN ('ready', 'uploaded', 'synced') AND t.id > ?", limit=1
        )
        return newer[0] if newer else None

    @transaction
    def forget_delivered(self, *, limit: int) -> int:
        """Forget where files lie whose content Convex has: from here on they age, and are pruned.

        Returns how many; call it until there are none.
        """
        rows = self._db.execute(
            "SELECT f.slot FROM files f CROSS JOIN transfers t ON t.id = f.transfer"
            " WHERE t.state = 'synced' LIMIT ?",
            [limit],
        ).fetchall()
        for row in rows:
            self._db.execute(f"DELETE FROM files WHERE {OF_SLOT}", [row["slot"]])
            self._transfers.end_slot(row["slot"])
        return len(rows)

    # -- the steps ---------------------------------------------------------------------------------

    def _submit_again(self, seen: Observation, fingerprint: Fingerprint) -> Submission:
        if (delivered := self.delivered(seen, fingerprint)) is not None:
            return Submission(delivered=delivered)
        return self.submit_delivered(seen, fingerprint)

    def _let_slot_follow(self, seen: Observation, outdated: int | None) -> None:
        """Forget where the slot's file lay, and how a file looked whose transfer came to nothing."""
        place = [self._db.root_id(seen.root), *split(seen.path)]
        self._db.execute(
            f"DELETE FROM files WHERE {OF_SLOT} AND (root, folder, name) <> (?, ?, ?)",
            [seen.route.slot.digest, *place],
        )
        row = self._db.execute(
            "SELECT transfer FROM files WHERE (root, folder, name) = (?, ?, ?)", place
        ).fetchone()
        newest = self._transfers.find(row["transfer"]) if row is not None else None
        if newest is not None and newest.state is State.DISCOVERED:
            self._completion.vanish_transfer(newest)
        if newest is not None and (newest.state in _GIVEN_UP or newest.row_id == outdated):
            self._db.execute("DELETE FROM files WHERE (root, folder, name) = (?, ?, ?)", place)

    def _newest(self, seen: Observation) -> int:
        place = [self._db.root_id(seen.root), *split(seen.path)]
        row = self._db.execute(
            "SELECT transfer FROM files WHERE (root, folder, name) = (?, ?, ?)", place
        ).fetchone()
        return int(row["transfer"])

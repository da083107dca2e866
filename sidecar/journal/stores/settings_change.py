"""Settles what changed settings mean for unfinished transfers: another bucket, a root that is taken out.

This happens at the start of each process, before anything is claimed. What is not in S3 yet goes to the
settings' bucket, and begun uploads begin anew; what they left in the old bucket is left to that bucket's
rule. Below a root that is none any more complete files that lie there are shipped. What cannot be read there
ends as gone and is forgotten as a file, so that the root, put back, has it as new. Nobody else would ever
end such rows: they would be a backlog for ever.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sidecar.core.model import Transfer
from sidecar.journal.db.connection import JournalConnection
from sidecar.journal.db.rows import FROM_TRANSFERS, IS_OPEN, IS_OWED, transfer_from
from sidecar.journal.db.store import Store, transaction

from .completion import Completion
from .multipart import MultipartUploads
from .transfers import Transfers

BATCH = 1000
NOT_WATCHED = "let go"  # an event's name
# In words, by which SQLite sees that the small partial indexes hold all that is asked for. With a + before
# what else is asked it takes no other way: that is through all that was ever delivered.
_OPEN = (
    "t.state = 'discovered'",
    f"{IS_OWED} AND t.state = 'ready'",
    f"{IS_OPEN} AND t.state = 'abandoned'",
)


class SettingsChange(Store):
    """The daemon asks once, before anything is claimed."""

    def __init__(
        self, db: JournalConnection, transfers: Transfers, completion: Completion, multipart: MultipartUploads
    ) -> None:
        super().__init__(db)
        self._transfers, self._completion, self._multipart = transfers, completion, multipart

    @transaction
    def redirect_to_bucket(self) -> int:
        """Let what is not in S3 yet go to the settings' bucket; returns how many were meant for another.

        Call it until there are none. What was begun in the other one is begun anew: whatever is open there is
        left to that bucket's own rule.
        """
        rows = [
            row for state in _OPEN[:2] for row in self._rows(f"{state} AND t.bucket <> ?", [self._db.bucket])
        ]
        for transfer in rows[:BATCH]:
            self._multipart.redirect_one(transfer)
        return len(rows[:BATCH])

    @transaction
    def unwatched_transfers(self, *, watched: Collection[str], after: int) -> Sequence[Transfer]:
        """Return what is neither in S3 nor below a watched root, by row, a batch at most."""
        known = self._db.execute("SELECT id, path FROM roots").fetchall()
        numbers = ",".join(str(int(row["id"])) for row in known if row["path"] not in watched)
        where = f"+t.root IN ({numbers}) AND +t.id > ?"
        found = [row for state in _OPEN for row in self._rows(f"{state} AND {where}", [after])]
        return sorted(found, key=lambda row: row.row_id)[:BATCH]

    @transaction
    def forget_unwatched(self, transfers: Collection[int]) -> None:
        """-> gone: nobody watches their root any more. If it comes back, its files are like new ones."""
        for number in transfers:
            transfer = self._transfers.one(number)
            self._completion.vanish_transfer(transfer)
            self._transfers.record(
                transfer,
                NOT_WATCHED,
                self._transfers.one(number).state,
                f"{transfer.root} is no longer watched",
            )

    def _rows(self, where: str, values: Sequence[str | int]) -> list[Transfer]:
        rows = self._db.execute(f"{FROM_TRANSFERS} WHERE {where} ORDER BY +t.id LIMIT {BATCH}", values)
        return [transfer_from(row) for row in rows.fetchall()]

"""Reads what the journal has of one path."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sidecar.core.model import Transfer
from sidecar.core.removal import Removal
from sidecar.journal.read.reader import JournalReader

from .asset_models import HistoryEvent
from .query import is_utf8
from .source import StatusSource
from .wording import iso


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """What the journal has of one path."""

    rows: Sequence[Transfer]  # the one that the file stands for, then the newest first
    history: Sequence[HistoryEvent]  # of the first
    removal: Removal | None  # that Convex has not acknowledged
    below: int  # unfinished transfers of files below it, where it is a folder

    @property
    def newest(self) -> Transfer | None:
        """The newest transfer."""
        return self.rows[0] if self.rows else None


async def remembered(source: StatusSource, root: str, inside: str) -> Remembered:
    """Return what the journal has of a path. It has no names that are not UTF-8: no rule matches them."""
    if not is_utf8(inside):
        return Remembered(rows=(), history=(), removal=None, below=0)
    return await source.read(lambda journal: _remember(journal, root, inside))


def _remember(journal: JournalReader, root: str, inside: str) -> Remembered:
    rows = journal.transfers_of(root, inside)
    events = journal.events_of(rows[0].row_id) if rows else ()
    unfinished = {} if rows else dict(journal.unfinished(root=root, prefix=inside))
    gone = journal.removals_of([row.row_id for row in rows])
    return Remembered(
        rows=rows,
        removal=next(iter(gone.values()), None),
        history=[HistoryEvent(at=iso(at_ms), event=event, detail=detail) for at_ms, event, detail in events],
        below=sum(unfinished.values()),
    )

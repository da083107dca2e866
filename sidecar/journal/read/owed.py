"""Tells whether a closed journal still owes anybody anything: a dead letter, too, waits for somebody."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from .reader import UNFINISHED

_OWED = (
    f"SELECT EXISTS (SELECT 1 FROM transfers t WHERE {UNFINISHED})"
    " OR EXISTS (SELECT 1 FROM outbox) OR EXISTS (SELECT 1 FROM debts) OR EXISTS (SELECT 1 FROM expiries)"
    " OR EXISTS (SELECT 1 FROM takedowns)"
)


def owes(journal: Path) -> bool:
    """Tell whether files, ops or clean-up tasks are left. Blocking. Raises sqlite3.Error."""
    with closing(sqlite3.connect(f"{journal.absolute().as_uri()}?mode=ro", uri=True)) as db:
        return bool(db.execute(_OWED).fetchone()[0])

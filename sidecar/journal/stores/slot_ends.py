"""Keeps since when a row is over: nothing shows it any more, and its age counts from then.

A superseded or gone transfer is over by its state. A synced one is over when newer content of its slot is
synced, or when no file of its slot lies here any longer.
"""

from __future__ import annotations

from sidecar.journal.db.file_conditions import IS_HERE

from .scenes import SceneBook


class SlotEnds(SceneBook):
    """``transfers.ended_ms``, kept true in the transaction of whatever changes it."""

    def end_slot(self, slot: str) -> None:
        """Note which of a slot's two newest synced transfers are over by now; older ones are already."""
        rows = self.db.execute(
            "SELECT id, ended_ms FROM transfers WHERE slot = ? AND state = 'synced' ORDER BY id DESC LIMIT 2",
            [slot],
        ).fetchall()
        for place, row in enumerate(rows):
            is_over = place > 0 or not self.is_here(slot)
            if is_over != (row["ended_ms"] is not None):
                ended_ms = self.later_ms() if is_over else None
                self.db.execute("UPDATE transfers SET ended_ms = ? WHERE id = ?", [ended_ms, row["id"]])

    def is_here(self, slot: str) -> bool:
        """Tell whether a file of the slot lies here, as far as listings know."""
        row = self.db.execute(f"SELECT 1 FROM files WHERE slot = ? AND {IS_HERE} LIMIT 1", [slot]).fetchone()
        return row is not None

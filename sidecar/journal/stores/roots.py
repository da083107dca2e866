"""Keeps which roots are ours now, and where each lay at its last listing.

A root is *blocked* from the start of the process until it is certainly ours, and whenever it is not. Nobody
may claim its uploads and ops then, nor the facts of scenes that lie there alone, so that a second daemon does
not tell Convex what it had planned in an earlier life.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from sidecar.journal.db.connection import JournalConnection, Topic
from sidecar.journal.db.rows import signed, unsigned
from sidecar.journal.db.store import Store, transaction

Place = tuple[int, int]  # device, inode


class Roots(Store):
    """Blocked or ours; and the places of their file systems."""

    def __init__(self, db: JournalConnection) -> None:
        super().__init__(db)
        self.blocked: set[str] = set()  # in memory: it dies with the process

    def block_roots(self, roots: Collection[str]) -> None:
        """Let nobody claim anything of these roots: another sidecar may watch them."""
        self.blocked |= set(roots)

    def unblock_root(self, root: str) -> None:
        """The root is ours: what waits for it may be claimed."""
        self.blocked.discard(root)
        self._db.topics |= {Topic.UPLOADS, Topic.OUTBOX}

    def blocked_roots(self) -> str:
        """Return the blocked roots' numbers for SQL's IN."""
        if not self.blocked:
            return ""
        rows = self._db.execute("SELECT id, path FROM roots").fetchall()
        return ",".join(str(int(row["id"])) for row in rows if row["path"] in self.blocked)

    def places(self, root: str) -> dict[str, Place]:
        """Return where a root, and each file system below it, lay at the last listing, by folder."""
        rows = self._db.execute("SELECT * FROM places WHERE root = ?", [self._db.root_id(root)]).fetchall()
        return {row["folder"]: (unsigned(row["device"]), unsigned(row["inode"])) for row in rows}

    @transaction
    def record_places(self, root: str, places: Mapping[str, Place]) -> None:
        """Remember where a full listing that is over was made."""
        number = self._db.root_id(root)
        self._db.execute("DELETE FROM places WHERE root = ?", [number])
        for folder, (device, inode) in places.items():
            self._db.execute(
                "INSERT INTO places VALUES (?, ?, ?, ?)", [number, folder, signed(device), signed(inode)]
            )

    @transaction
    def move_home(self, root: str, *, home: str, to: str | None) -> None:
        """Follow a volume that is back under another name, or (None) was taken away with what lay on it."""
        self._db.execute(
            "UPDATE transfers SET home = ? WHERE root = ? AND home = ?"
            " AND state IN ('discovered', 'ready', 'abandoned')",
            [to, self._db.root_id(root), home],
        )

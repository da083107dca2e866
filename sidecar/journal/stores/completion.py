"""Ends what a candidate waits for: its content is complete, or as it was, or it is gone, or given up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sidecar.core.file_states import FileEvent
from sidecar.core.model import AssetType, Fingerprint, State, StatIdentity, Transfer
from sidecar.core.states import Event
from sidecar.journal.db.connection import JournalConnection, Topic
from sidecar.journal.db.file_conditions import HAS_SLOT, OF_SLOT, knows
from sidecar.journal.db.rows import (
    FROM_TRANSFERS,
    IDENTITY,
    PART_CHECKSUMS,
    Column,
    identity_values,
    join,
    media_json,
    part_checksum_values,
    split,
    transfer_from,
)
from sidecar.journal.db.store import Store, transaction

from .cleanup import Cleanup
from .removal_ops import RemovalOps
from .scenes import Scenes
from .transfers import StepRow, Transfers

# A candidate is the only one where no other transfer, older or newer, has its slot.
_CANDIDATES = """
SELECT json_array(t.id, t.transfer, rtrim(r.path, '/'), t.root, t.folder, t.name, t.session_id, t.scene_id,
  t.asset_type, t.held, coalesce(t.size, 0), t.state = 'discovered' AND t.asset_type <> 'manifest'
    AND NOT EXISTS (SELECT 1 FROM transfers o WHERE o.slot = t.slot AND o.id <> t.id)) AS one
FROM transfers t JOIN roots r ON r.id = t.root WHERE t.id IN ({rows})
"""
# What was read of candidates, and how their files looked: it was seen, and not deleted by us.
_COMPLETED = """
WITH f (id, ready_ms, inode, size, mtime_ns, ctime_ns, checksum, media) AS (VALUES {rows})
UPDATE transfers SET state = 'ready', ended_ms = NULL, ready_ms = f.ready_ms, inode = f.inode, size = f.size,
  mtime_ns = f.mtime_ns, ctime_ns = f.ctime_ns, checksum = f.checksum, checksum_part_bytes = NULL,
  part_checksums = NULL, media = f.media
FROM f WHERE transfers.id = f.id
"""
_SEEN_COMPLETE = """
WITH f (root, folder, name, inode, size, mtime_ns, ctime_ns) AS (VALUES {rows})
UPDATE files SET inode = f.inode, size = f.size, mtime_ns = f.mtime_ns, ctime_ns = f.ctime_ns, spared = 0
FROM f WHERE files.root = f.root AND files.folder = f.folder AND files.name = f.name
"""


class Completion(Store):
    """From `discovered` to `ready`, or to what else becomes of a candidate."""

    def __init__(
        self,
        db: JournalConnection,
        transfers: Transfers,
        scenes: Scenes,
        removal_ops: RemovalOps,
        cleanup: Cleanup,
    ) -> None:
        super().__init__(db)
        self._transfers, self._scenes = transfers, scenes
        self._removal_ops, self._cleanup = removal_ops, cleanup

    def candidates(self) -> list[Transfer]:
        """Return all transfers in state discovered."""
        rows = self._db.execute(f"{FROM_TRANSFERS} WHERE t.state = 'discovered' ORDER BY +t.id")
        return [transfer_from(row) for row in rows]

    @transaction
    def complete_all(self, found: Sequence[tuple[int, Fingerprint]]) -> list[State | None]:
        """Complete many, as ``complete`` does; those that are their slots' only ones are quickest."""
        rows = {row[0]: row for row in self._db.over_in_one(_CANDIDATES, [(row_id,) for row_id, _ in found])}
        only = {
            row_id: (rows[row_id], fingerprint)
            for row_id, fingerprint in found
            if row_id in rows and rows[row_id][-1] and fingerprint.parts is None
        }
        if only:
            self._complete_only(list(only.values()))
        others = self._transfers.with_older([row_id for row_id, _ in found if row_id not in only])
        return [
            State.READY
            if row_id in only
            else self._complete(others[row_id][0], fingerprint, has_older=others[row_id][1])
            for row_id, fingerprint in found
        ]

    @transaction
    def complete(self, row_id: int, fingerprint: Fingerprint, *, outdated: int | None = None) -> State | None:
        """discovered -> ready; None if nothing new: the row is dropped and the identity remembered.

        Unchanged means equal to the slot's newest transfer that has reached or may still reach Convex, unless
        that is the row ``outdated``.
        """
        if outdated is None:
            return self.complete_all([(row_id, fingerprint)])[0]
        candidate, has_older = self._transfers.with_older([row_id])[row_id]
        return self._complete(candidate, fingerprint, has_older=has_older, outdated=outdated)

    def _complete_only(self, found: Sequence[tuple[list[Any], Fingerprint]]) -> None:
        """Complete candidates whose slots have no other transfer: a video of them is one more."""
        ready_ms = self._db.clock.wall_ms()
        steps, rows, files = list[StepRow](), list[tuple[Column, ...]](), list[tuple[Column, ...]]()
        for row, fingerprint in found:
            row_id, name, root_path, root, folder, file, session_id, scene_id, kind, held, bytes_before, _ = (
                row
            )
            identity = identity_values(fingerprint.identity)
            rows.append((row_id, ready_ms, *identity, fingerprint.checksum, media_json(fingerprint.media)))
            files.append((root, folder, file, *identity))
            path, size_bytes = f"{root_path}/{join(folder, file)}", fingerprint.identity.size_bytes
            said = (f"{size_bytes} bytes", None, None)
            steps.append((row_id, name, path, session_id, scene_id, bytes_before, size_bytes, *said))
            self._db.topics.add(Topic.LOOKUPS if held else Topic.UPLOADS)
            if scene_id is not None:
                self._db.gathered.arrive(
                    session_id,
                    scene_id,
                    fingerprint.identity.mtime_ns,
                    is_first_video=kind == AssetType.VIDEO_CHUNK,
                )
        self._db.topics.add(Topic.SCENES)
        self._db.over(_SEEN_COMPLETE, files)
        self._db.over(_COMPLETED, rows)
        self._transfers.stepped_alike(Event.COMPLETED, State.DISCOVERED, steps)

    def _complete(
        self,
        candidate: Transfer,
        fingerprint: Fingerprint,
        *,
        has_older: bool,
        outdated: int | None = None,
    ) -> State | None:
        if candidate.state is State.ABANDONED:  # its scene was cancelled while it was read
            return candidate.state
        newest = self._newest_alive(candidate) if has_older else None
        self._seen_complete(candidate, fingerprint.identity)
        if newest and newest.row_id != outdated and _same_content(newest, candidate, fingerprint):
            self._drop_unchanged(candidate, newest, fingerprint.identity)
            return None
        found = {
            **dict[str, Column](zip(IDENTITY, identity_values(fingerprint.identity), strict=True)),
            **dict[str, Column](zip(PART_CHECKSUMS, part_checksum_values(fingerprint.parts), strict=True)),
            "checksum": fingerprint.checksum,
            "media": media_json(fingerprint.media),
            "ready_ms": self._db.clock.wall_ms(),
        }
        state = self._transfers.advance(
            candidate, Event.COMPLETED, f"{fingerprint.size_bytes} bytes", also=found
        )
        for older in (
            self._transfers.of_slot(candidate, "t.state = 'ready' AND t.id < ?") if has_older else ()
        ):
            self._cleanup.supersede(older, "newer content of the same slot is ready")
        self._arrived(candidate, fingerprint)
        return state

    @transaction
    def vanish(self, row_id: int) -> None:
        """-> gone: the file was deleted before it could be read."""
        self.vanish_transfer(self._transfers.one(row_id))

    @transaction
    def abandon(self, row_id: int, why: str, identity: StatIdentity | None = None) -> None:
        """discovered -> abandoned; a file whose identity then changes is a candidate again."""
        transfer = self._transfers.one(row_id)
        if identity is not None:
            transfer = self._transfers.set_identity(transfer, identity)
        if transfer.state is not State.ABANDONED:
            self._transfers.abandon(transfer, why)

    # -- inside a transaction of another method ----------------------------------------------------

    def vanish_transfer(self, transfer: Transfer) -> None:
        """End a transfer whose file is gone; what it left at S3 is a clean-up task."""
        self._cleanup.add_cleanup(transfer)
        self._db.execute("UPDATE transfers SET lease = 0 WHERE id = ?", [transfer.row_id])
        if transfer.state is State.SUPERSEDED:  # while a worker had its lease
            return
        self._transfers.advance(transfer, Event.VANISHED)
        self.forget_file(transfer)
        self._transfers.end_slot(transfer.route.slot.digest)

    def forget_file(self, transfer: Transfer) -> None:
        """Forget how a vanished file looked, so that the same one coming back is seen as new.

        Where Convex shows older content of it, its absence goes on to be counted: by listings.
        """
        place = [self._db.root_id(transfer.root), *split(transfer.path), transfer.row_id]
        older = self._newest_alive(transfer)
        if older is None or self._is_elsewhere(transfer):
            self._db.execute(
                "DELETE FROM files WHERE (root, folder, name) = (?, ?, ?) AND transfer = ?"
                f" AND {knows(FileEvent.VANISHED)}",
                place,
            )
            return
        self._db.execute(
            "UPDATE files SET transfer = ?, inode = NULL, size = NULL, mtime_ns = NULL, ctime_ns = NULL"
            " WHERE (root, folder, name) = (?, ?, ?) AND transfer = ?",
            [older.row_id, *place],
        )

    def reset_absence(self, root: str, path: str) -> None:
        """It was seen in this root, and not deleted by us: from here on its absence says something."""
        self._db.execute(
            "UPDATE files SET spared = 0 WHERE (root, folder, name) = (?, ?, ?) AND spared = 1",
            [self._db.root_id(root), *split(path)],
        )

    def _seen_complete(self, candidate: Transfer, identity: StatIdentity) -> None:
        """Remember how the file looked; it was seen, and not deleted by us, as ``reset_absence`` says."""
        self._db.execute(
            f"UPDATE files SET {', '.join(f'{name} = ?' for name in IDENTITY)}, spared = 0"
            " WHERE (root, folder, name) = (?, ?, ?)",
            [*identity_values(identity), self._db.root_id(candidate.root), *split(candidate.path)],
        )

    def _newest_alive(self, candidate: Transfer) -> Transfer | None:
        """Return the slot's newest older transfer that Convex shows, or may yet show, if there is one.

        A dead letter counts if Convex knows it, or will once it is requeued. Of a slot whose asset was
        removed nothing counts, nor while Convex is being asked to remove it.
        """
        reached_convex = (
            "t.state IN ('ready', 'uploaded', 'synced') OR t.died_in = 'uploaded' AND t.state = 'dead'"
        )
        removed = "t.state = 'gone' AND t.synced_ms IS NOT NULL"
        newest = self._transfers.of_slot(candidate, f"({reached_convex} OR {removed}) AND t.id < ?", limit=1)
        if not newest or newest[0].is_removed:
            return None
        is_retracted = newest[0].state is State.SYNCED and self._removal_ops.is_retracted(
            newest[0].route.slot.digest
        )
        return None if is_retracted else newest[0]

    def _drop_unchanged(self, candidate: Transfer, newest: Transfer, identity: StatIdentity) -> None:
        self._transfers.advance(candidate, Event.UNCHANGED, f"the same bytes as {newest.transfer_id}")
        self._db.execute(
            "UPDATE files SET transfer = ? WHERE (root, folder, name) = (?, ?, ?)",
            [newest.row_id, self._db.root_id(candidate.root), *split(candidate.path)],
        )
        self._transfers.record(newest, Event.UNCHANGED, newest.state)
        if newest.state is State.READY:
            self._transfers.set_identity(newest, identity)

    def _arrived(self, transfer: Transfer, fingerprint: Fingerprint) -> None:
        self._db.topics.add(Topic.LOOKUPS if transfer.awaits_lookup else Topic.UPLOADS)
        slot, mtime_ns = transfer.route.slot, fingerprint.identity.mtime_ns
        if slot.asset_type is AssetType.MANIFEST:
            self._scenes.manifest_arrived(slot.session_id, mtime_ns)
        self._scenes.scene_changed(slot.session_id, transfer.route.scene_id, mtime_ns)

    def _is_elsewhere(self, transfer: Transfer) -> bool:
        """Tell whether another file that is there has the slot."""
        row = self._db.execute(
            f"SELECT 1 FROM files WHERE {OF_SLOT} AND {HAS_SLOT} AND (root, folder, name) <> (?, ?, ?)",
            [transfer.route.slot.digest, self._db.root_id(transfer.root), *split(transfer.path)],
        )
        return row.fetchone() is not None


def _same_content(newest: Transfer, candidate: Transfer, fingerprint: Fingerprint) -> bool:
    """A ready transfer is read from its own path: another file's equal bytes do not stand in for it."""
    if newest.state is State.READY and (newest.root, newest.path) != (candidate.root, candidate.path):
        return False
    return (newest.checksum, newest.size_bytes) == (fingerprint.checksum, fingerprint.size_bytes)

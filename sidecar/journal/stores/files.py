"""The watch stage's half of the journal: seen files become candidates, complete ones become ready."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from sidecar.core.file_states import FileEvent, FileState, step
from sidecar.core.model import AssetType, Fingerprint, Observation, State, StatIdentity, Transfer
from sidecar.core.states import Event
from sidecar.journal.db.connection import Topic, transaction
from sidecar.journal.db.file_conditions import HAS_SLOT, IS_ABSENT, knows, state_after
from sidecar.journal.db.rows import FROM_TRANSFERS, identity_of, join, signed, split, transfer_from, unsigned

from .discovery import fixed_key
from .uploads import Uploads

_NOT_SENT = frozenset({State.DISCOVERED, State.READY, State.ABANDONED})


class Known(NamedTuple):
    """What the journal remembers of a file in a folder: enough to pass over an unchanged one.

    A bare row, since a start makes a million of them. The four columns are the identity of the newest
    content that was handled, all None while none was.
    """

    name: str
    inode: int | None  # as it is stored: signed
    size_bytes: int | None
    mtime_ns: int | None
    ctime_ns: int | None
    row_id: int

    @property
    def identity(self) -> StatIdentity | None:
        """The four columns together."""
        if self.inode is None or self.size_bytes is None or self.mtime_ns is None or self.ctime_ns is None:
            return None
        return StatIdentity(
            inode=unsigned(self.inode),
            size_bytes=self.size_bytes,
            mtime_ns=self.mtime_ns,
            ctime_ns=self.ctime_ns,
        )

    def is_like(self, found: os.stat_result) -> bool:
        """Tell whether a file looks as it did when its content was handled."""
        return (
            self.mtime_ns == found.st_mtime_ns
            and self.size_bytes == found.st_size
            and self.ctime_ns == found.st_ctime_ns
            and self.inode == signed(found.st_ino)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ObserveResult:
    """What became of one observation."""

    candidate: Transfer | None = None  # a row in state discovered: find out when it is complete
    refused: str | None = None  # one sentence: why it is never sent as things are


class Files(Uploads):
    """From a listing to `ready`."""

    def known(self, root: str, folder: str) -> dict[str, Known]:
        """Return what is remembered of one folder ("" is the root), by name: one range query."""
        cursor = self.db.conn.cursor()
        cursor.row_factory = None  # tuples
        rows = cursor.execute(
            "SELECT name, inode, size, mtime_ns, ctime_ns, transfer FROM files"
            f" WHERE root = (SELECT id FROM roots WHERE path = ?) AND folder = ? AND {HAS_SLOT}",
            [root, folder],
        )
        return {row[0]: Known._make(row) for row in rows}

    def known_file(self, root: str, path: str) -> Known | None:
        """Return what is remembered of one file."""
        row = self.db.execute(
            "SELECT name, inode, size, mtime_ns, ctime_ns, transfer FROM files"
            f" WHERE (root, folder, name) = ((SELECT id FROM roots WHERE path = ?), ?, ?) AND {HAS_SLOT}",
            [root, *split(path)],
        ).fetchone()
        return None if row is None else Known(*row)

    def refusal(self, seen: Observation) -> str | None:
        """Return why a file would not be taken in as things are, as ``observe`` would say it."""
        root = self.db.execute("SELECT id FROM roots WHERE path = ?", [seen.root]).fetchone()
        place = (root["id"] if root else -1, *split(seen.path))
        is_known = self.db.execute("SELECT 1 FROM files WHERE (root, folder, name) = (?, ?, ?)", place)
        return None if is_known.fetchone() else self._conflict(seen, place)

    def folders(self, root: str, *, after: str, limit: int) -> list[str]:
        """Return remembered folders of a root in order, from the first one past ``after``.

        The root's own folder, "", sorts first and is never returned.
        """
        rows = self.db.execute(
            "SELECT DISTINCT folder FROM files WHERE root = (SELECT id FROM roots WHERE path = ?)"
            f" AND folder > ? AND {HAS_SLOT} ORDER BY folder LIMIT ?",
            [root, after, limit],
        )
        return [row["folder"] for row in rows]

    @transaction
    def observe(self, observations: Sequence[Observation]) -> list[ObserveResult]:
        """Take in files that a listing or an event showed: new or changed content becomes a candidate."""
        return [self._observe(observation) for observation in observations]

    @transaction
    def missing(
        self,
        root: str,
        paths: Sequence[str],
        *,
        spared: bool = False,
        homes: Mapping[str, str | None] | None = None,
    ) -> None:
        """A successful full listing did not show these remembered files; the second one in a row counts.

        ``spared``: it is no removal, whatever follows. ``homes`` tells where the listing of each folder was
        made: what was seen elsewhere and is not in S3 yet lies on a volume that is away, and is not counted.
        """
        for path in paths:
            place = (self.root_id(root), *split(path))
            if homes is not None and self._is_away(place, homes.get(place[1])):
                continue
            self.db.execute(
                f"UPDATE files SET absent = {state_after(FileEvent.NOT_LISTED)}, spared = max(spared, ?)"
                f" WHERE (root, folder, name) = (?, ?, ?) AND {knows(FileEvent.NOT_LISTED)}",
                [int(spared), *place],
            )
            row = self.db.execute(
                f"SELECT slot, transfer FROM files WHERE (root, folder, name) = (?, ?, ?) AND {IS_ABSENT}",
                place,
            ).fetchone()
            if row is None:
                continue
            newest = self.find(row["transfer"])
            if newest and newest.state in {State.DISCOVERED, State.ABANDONED}:
                self._vanish(newest)
            self.end_slot(row["slot"])

    def candidates(self) -> list[Transfer]:
        """Return all transfers in state discovered."""
        rows = self.db.execute(f"{FROM_TRANSFERS} WHERE t.state = 'discovered' ORDER BY t.id")
        return [transfer_from(row) for row in rows]

    @transaction
    def complete(self, row_id: int, fingerprint: Fingerprint) -> State | None:
        """discovered -> ready; None if nothing new: the row is dropped and the identity remembered.

        Unchanged means equal to the slot's newest transfer that has reached or may still reach Convex.
        """
        candidate = self.one(row_id)
        if candidate.state is State.ABANDONED:  # its scene was cancelled while it was read
            return candidate.state
        newest = self._newest_alive(candidate)
        self.set_identity(candidate, fingerprint.identity)
        self._reset_absence(candidate.root, candidate.path)
        if newest and _same_content(newest, candidate, fingerprint):
            self._drop_unchanged(candidate, newest, fingerprint.identity)
            return None
        row = self.db.execute(
            "UPDATE transfers SET checksum = ?, ready_ms = ? WHERE id = ? RETURNING held",
            [fingerprint.checksum, self.clock.wall_ms(), candidate.row_id],
        ).fetchone()
        state = self.advance(candidate, Event.COMPLETED, f"{fingerprint.size_bytes} bytes")
        for older in self._of_slot(candidate, "t.state = 'ready' AND t.id < ?"):
            self.supersede(older, "newer content of the same slot is ready")
        self.topics.add(Topic.LOOKUPS if row["held"] else Topic.UPLOADS)
        self._content_arrived(candidate, fingerprint.identity.mtime_ns)
        return state

    @transaction
    def vanish(self, row_id: int) -> None:
        """-> gone: the file was deleted before it could be read."""
        self._vanish(self.one(row_id))

    @transaction
    def abandon(self, row_id: int, why: str, identity: StatIdentity | None = None) -> None:
        """discovered -> abandoned; a file whose identity then changes is a candidate again."""
        transfer = self.one(row_id)
        if identity is not None:
            self.set_identity(transfer, identity)
        if transfer.state is not State.ABANDONED:
            self._abandon(transfer, why)
        self.report_scene(transfer.route.slot.session_id, transfer.route.scene_id)

    def _is_away(self, place: tuple[int, str, str], home: str | None) -> bool:
        row = self.db.execute(
            "SELECT t.home, t.state FROM files f JOIN transfers t ON t.id = f.transfer"
            " WHERE (f.root, f.folder, f.name) = (?, ?, ?)",
            place,
        ).fetchone()
        return row is not None and row["state"] in _NOT_SENT and row["home"] not in {None, home}

    # -- the steps of observe ---------------------------------------------------------------------

    def _observe(self, seen: Observation) -> ObserveResult:
        place = (self.root_id(seen.root), *split(seen.path))
        row = self.db.execute("SELECT * FROM files WHERE (root, folder, name) = (?, ?, ?)", place).fetchone()
        if row is None:
            refused = self._conflict(seen, place)
            return ObserveResult(refused=refused) if refused else ObserveResult(candidate=self.discover(seen))
        if (state := FileState(row["absent"])) is not FileState.PRESENT:
            self.db.execute(
                "UPDATE files SET absent = ? WHERE (root, folder, name) = (?, ?, ?)",
                [step(state, FileEvent.SEEN), *place],
            )
            self.end_slot(row["slot"])
            self.withdraw_removal(row["slot"], f"{seen.path} is there again")
        newest = self.find(row["transfer"])
        if newest and newest.state is State.DISCOVERED:
            return ObserveResult(candidate=self._at_home(newest, seen.home))
        if self._is_as_it_was(row, newest, seen):
            self._reset_absence(seen.root, seen.path)
            return ObserveResult()
        if newest and newest.state is State.ABANDONED:
            return self._revive(newest, row, seen)
        candidate = self.discover(seen)
        if row["slot"] != candidate.route.slot.digest:  # the rules changed
            self.end_slot(row["slot"])
        return ObserveResult(candidate=candidate)

    def _is_as_it_was(self, row: sqlite3.Row, newest: Transfer | None, seen: Observation) -> bool:
        """What Convex was asked to remove is not there any more, however it looks."""
        if identity_of(row) != seen.identity or row["slot"] != seen.route.slot.digest:
            return False
        return not (newest and newest.is_removed) and not self.is_retracted(row["slot"])

    def _at_home(self, candidate: Transfer, home: str | None) -> Transfer:
        """Remember on which volume it was seen last."""
        if home is None or home == candidate.home:
            return candidate
        self.db.execute("UPDATE transfers SET home = ? WHERE id = ?", [home, candidate.row_id])
        return replace(candidate, home=home)

    def _reset_absence(self, root: str, path: str) -> None:
        """It was seen in this root, and not deleted by us: from here on its absence says something."""
        self.db.execute(
            "UPDATE files SET spared = 0 WHERE (root, folder, name) = (?, ?, ?) AND spared = 1",
            [self.root_id(root), *split(path)],
        )

    def _revive(self, abandoned: Transfer, row: sqlite3.Row, seen: Observation) -> ObserveResult:
        if identity_of(row) is None:  # abandoned without an identity: this one is the one to compare with
            self.set_identity(abandoned, seen.identity)
            return ObserveResult()
        self.advance(abandoned, Event.REVIVED)
        self.report_scene(abandoned.route.slot.session_id, abandoned.route.scene_id)
        return ObserveResult(candidate=self.one(abandoned.row_id))

    def _conflict(self, seen: Observation, place: tuple[int, str, str]) -> str | None:
        """Two sources with one slot or one key: the second is refused until the first is gone."""
        rows = self.db.execute(
            "SELECT r.path AS root, folder, name, slot FROM files f JOIN roots r ON r.id = f.root"
            f" WHERE (slot = ? OR fixed_key = ?) AND {HAS_SLOT} AND (f.root, folder, name) <> (?, ?, ?)"
            " LIMIT 1",
            [seen.route.slot.digest, fixed_key(seen), *place],
        )
        row = rows.fetchone()
        if row is None:
            return None
        what = "slot" if row["slot"] == seen.route.slot.digest else "object key"
        return f"its {what} belongs to {row['root'].rstrip('/')}/{join(row['folder'], row['name'])}"

    # -- the steps of complete --------------------------------------------------------------------

    def _newest_alive(self, candidate: Transfer) -> Transfer | None:
        """A dead letter that was told, or may be once it is requeued, is alive.

        Of a slot whose asset was removed nothing is, nor while Convex is being asked to remove it.
        """
        reached_convex = (
            "t.state IN ('ready', 'uploaded', 'synced') OR t.died_in = 'uploaded' AND t.state = 'dead'"
        )
        removed = "t.state = 'gone' AND t.synced_ms IS NOT NULL"
        newest = self._of_slot(candidate, f"({reached_convex} OR {removed}) AND t.id < ?", limit=1)
        if not newest or newest[0].is_removed:
            return None
        is_retracted = newest[0].state is State.SYNCED and self.is_retracted(newest[0].route.slot.digest)
        return None if is_retracted else newest[0]

    def _drop_unchanged(self, candidate: Transfer, newest: Transfer, identity: StatIdentity) -> None:
        self.advance(candidate, Event.UNCHANGED, f"the same bytes as {newest.transfer_id}")
        self.db.execute(
            "UPDATE files SET transfer = ? WHERE (root, folder, name) = (?, ?, ?)",
            [newest.row_id, self.root_id(candidate.root), *split(candidate.path)],
        )
        self.record(newest, Event.UNCHANGED, newest.state)
        if newest.state is State.READY:
            self.set_identity(newest, identity)
        self.report_scene(candidate.route.slot.session_id, candidate.route.scene_id)

    def _content_arrived(self, transfer: Transfer, mtime_ns: int) -> None:
        slot = transfer.route.slot
        if slot.asset_type is AssetType.MANIFEST:
            self._manifest_arrived(slot.session_id, mtime_ns)
        self._scene_changed(slot.session_id, transfer.route.scene_id, mtime_ns)

    def _vanish(self, transfer: Transfer) -> None:
        self.add_cleanup(transfer)
        self.db.execute("UPDATE transfers SET lease = 0 WHERE id = ?", [transfer.row_id])
        if transfer.state is State.SUPERSEDED:  # overtaken while its worker held it
            return
        self.advance(transfer, Event.VANISHED)
        self._forget_file(transfer)
        self.end_slot(transfer.route.slot.digest)
        self.report_scene(transfer.route.slot.session_id, transfer.route.scene_id)

    def _forget_file(self, transfer: Transfer) -> None:
        """Forget how a vanished file looked, so that the same one coming back is seen as new.

        Where Convex shows older content of it, its absence goes on to be counted: by listings.
        """
        place = [self.root_id(transfer.root), *split(transfer.path), transfer.row_id]
        older = self._newest_alive(transfer)
        if older is None or self._is_elsewhere(transfer):
            self.db.execute(
                "DELETE FROM files WHERE (root, folder, name) = (?, ?, ?) AND transfer = ?"
                f" AND {knows(FileEvent.VANISHED)}",
                place,
            )
            return
        self.db.execute(
            "UPDATE files SET transfer = ?, inode = NULL, size = NULL, mtime_ns = NULL, ctime_ns = NULL"
            " WHERE (root, folder, name) = (?, ?, ?) AND transfer = ?",
            [older.row_id, *place],
        )

    def _is_elsewhere(self, transfer: Transfer) -> bool:
        """Tell whether another file that is there holds the slot."""
        row = self.db.execute(
            f"SELECT 1 FROM files WHERE slot = ? AND {HAS_SLOT} AND (root, folder, name) <> (?, ?, ?)",
            [transfer.route.slot.digest, self.root_id(transfer.root), *split(transfer.path)],
        )
        return row.fetchone() is not None


def _same_content(newest: Transfer, candidate: Transfer, fingerprint: Fingerprint) -> bool:
    """A ready transfer is read from its own path: another file's equal bytes do not stand in for it."""
    if newest.state is State.READY and (newest.root, newest.path) != (candidate.root, candidate.path):
        return False
    return (newest.checksum, newest.size_bytes) == (fingerprint.checksum, fingerprint.size_bytes)

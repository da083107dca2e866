"""Keeps the files that listings and events show: which are known, new, changed, or not there any more."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import cast

from sidecar.core.file_states import FileEvent, FileState, step
from sidecar.core.model import Fingerprint, Observation, State, Transfer
from sidecar.core.states import Event
from sidecar.journal.db.connection import JournalConnection
from sidecar.journal.db.file_conditions import HAS_SLOT, IS_ABSENT, knows, state_after
from sidecar.journal.db.rows import identity_of, split
from sidecar.journal.db.store import Store, transaction

from .completion import Completion
from .discovery import Discovery
from .first_sight import FirstSight, is_plain
from .known import IdentityRow, Known, KnownFolders, ObserveResult
from .removal_ops import RemovalOps
from .transfers import Transfers

_DONE, _NOTHING = ObserveResult(), MappingProxyType[int, Fingerprint]({})
_NOT_SENT = frozenset({State.DISCOVERED, State.READY, State.ABANDONED})
_KNOWN = (
    "SELECT json_array(name, inode, size, mtime_ns, ctime_ns) AS one FROM files"
    f" WHERE root = (SELECT id FROM roots WHERE path = ?) AND folder = ? AND {HAS_SLOT}"
)
# One seek a folder, from each to the next: DISTINCT would read every row. NULL is the end.
_NEXT_FOLDER = (
    "(SELECT folder FROM files WHERE root = (SELECT id FROM roots WHERE path = :root)"
    f" AND folder > {{after}} AND {HAS_SLOT} ORDER BY folder LIMIT 1)"
)
_FOLDERS = (
    f"WITH RECURSIVE found(folder) AS (SELECT {_NEXT_FOLDER.format(after=':after')} UNION ALL"
    f" SELECT {_NEXT_FOLDER.format(after='found.folder')} FROM found WHERE found.folder IS NOT NULL"
    " LIMIT :limit) SELECT folder FROM found"
)


class Files(Store):
    """From a listing to `discovered`."""

    def __init__(
        self,
        db: JournalConnection,
        transfers: Transfers,
        removal_ops: RemovalOps,
        discovery: Discovery,
        completion: Completion,
        first_sight: FirstSight,
    ) -> None:
        super().__init__(db)
        self._transfers, self._first_sight = transfers, first_sight
        self._removal_ops, self._discovery, self._completion = removal_ops, discovery, completion

    def known(self, root: str, folder: str) -> dict[str, Known]:
        """Return what is remembered of one folder ("" is the root), by name."""
        found = self.known_rows(root, [folder]).by_folder[folder]
        return {row[0]: Known._make(row) for row in found}

    def known_among(self, root: str, folder: str, names: Sequence[str]) -> KnownFolders:
        """Return what is remembered of some files of a folder that holds too many to ask for all."""
        began, among = time.thread_time(), f"{_KNOWN} AND name IN (SELECT value FROM json_each(?))"
        found = self._rows(among, root, folder, json.dumps(names, ensure_ascii=False))
        return KnownFolders({folder: found}, time.thread_time() - began)

    def count_known(self, root: str, folder: str) -> int:
        """Return how many files of a folder are remembered."""
        row = self._db.execute(
            "SELECT count(*) AS n FROM files"
            f" WHERE root = (SELECT id FROM roots WHERE path = ?) AND folder = ? AND {HAS_SLOT}",
            [root, folder],
        ).fetchone()
        return int(row["n"])

    def names(self, root: str, folder: str, *, after: str, limit: int) -> list[str]:
        """Return names of remembered files of a folder in order, from the first one past ``after``."""
        rows = self._db.execute(
            "SELECT name FROM files WHERE root = (SELECT id FROM roots WHERE path = ?) AND folder = ?"
            f" AND name > ? AND {HAS_SLOT} ORDER BY name LIMIT ?",
            [root, folder, after, limit],
        )
        return [row["name"] for row in rows]

    def known_rows(self, root: str, folders: Sequence[str]) -> KnownFolders:
        """Return what is remembered of many folders, asked in one turn of the writer's thread.

        It is one range query a folder, and bare rows: a start reads a million of them.
        """
        began = time.thread_time()
        found = {folder: self._rows(_KNOWN, root, folder) for folder in folders}
        return KnownFolders(found, time.thread_time() - began)

    def writes(self) -> int:
        """Return a number that is another one once any row of any table was written: nobody else writes."""
        return self._db.conn.total_changes

    def known_file(self, root: str, path: str) -> Known | None:
        """Return what is remembered of one file."""
        row = self._db.execute(
            "SELECT name, inode, size, mtime_ns, ctime_ns FROM files"
            f" WHERE (root, folder, name) = ((SELECT id FROM roots WHERE path = ?), ?, ?) AND {HAS_SLOT}",
            [root, *split(path)],
        ).fetchone()
        return None if row is None else Known(*row)

    def refusal(self, seen: Observation) -> str | None:
        """Return why a file would not be taken in as things are, as ``observe`` would say it."""
        root = self._db.execute("SELECT id FROM roots WHERE path = ?", [seen.root]).fetchone()
        place = (root["id"] if root else -1, *split(seen.path))
        is_known = self._db.execute("SELECT 1 FROM files WHERE (root, folder, name) = (?, ?, ?)", place)
        return None if is_known.fetchone() else self._discovery.conflict(seen, place)

    def folders(self, root: str, *, after: str, limit: int) -> list[str]:
        """Return remembered folders of a root in order, from the first one past ``after``.

        The root's own folder, "", sorts first and is never returned.
        """
        rows = self._db.execute(_FOLDERS, {"root": root, "after": after, "limit": limit})
        return [row["folder"] for row in rows if row["folder"] is not None]

    @transaction
    def observe(
        self, observations: Sequence[Observation], found: Mapping[int, Fingerprint] = _NOTHING
    ) -> list[ObserveResult]:
        """Take in files that a listing or an event showed: new or changed content becomes a candidate.

        ``found``, by their numbers, is the content of those that were looked at since, and are complete: it
        becomes `ready` at once.
        """
        unknown = self._discovery.nothing_is_known(observations)
        whole = [n for n in found if n in unknown.first and is_plain(observations[n], found[n])]
        self._first_sight.take([(observations[n], found[n]) for n in whole])
        strange = sorted(unknown.strange.difference(whole))
        begun = dict(zip(strange, self._discovery.begin([observations[n] for n in strange]), strict=True))
        taken = {n: ObserveResult(candidate=begun[n]) for n in strange} | dict.fromkeys(whole, _DONE)
        results = [taken.get(n) or self._observe(seen) for n, seen in enumerate(observations)]
        return self._complete(results, found)

    @transaction
    def missing(
        self,
        root: str,
        paths: Sequence[str],
        *,
        spared: bool = False,
        homes: Mapping[str, str | None] | None = None,
    ) -> None:
        """Note that a successful full listing did not show these files; the second one in a row counts.

        ``spared``: it is no removal, whatever follows. ``homes`` says where the listing of each folder was
        made: what was seen elsewhere and is not in S3 yet lies on a volume that is away, and is not counted.
        """
        for path in paths:
            place = (self._db.root_id(root), *split(path))
            if homes is not None and self._is_away(place, homes.get(place[1])):
                continue
            self._db.execute(
                f"UPDATE files SET absent = {state_after(FileEvent.NOT_LISTED)}, spared = max(spared, ?)"
                f" WHERE (root, folder, name) = (?, ?, ?) AND {knows(FileEvent.NOT_LISTED)}",
                [int(spared), *place],
            )
            row = self._db.execute(
                f"SELECT slot, transfer FROM files WHERE (root, folder, name) = (?, ?, ?) AND {IS_ABSENT}",
                place,
            ).fetchone()
            if row is None:
                continue
            newest = self._transfers.find(row["transfer"])
            if newest and newest.state in {State.DISCOVERED, State.ABANDONED}:
                self._completion.vanish_transfer(newest)
            self._transfers.end_slot(row["slot"])

    # -- the steps ---------------------------------------------------------------------------------

    def _complete(
        self, results: list[ObserveResult], found: Mapping[int, Fingerprint]
    ) -> list[ObserveResult]:
        """Complete those whose content is known: they are no candidates for anybody."""
        known = {n: result.candidate.row_id for n in found if (result := results[n]).candidate is not None}
        if known:
            self._completion.complete_all([(row_id, found[n]) for n, row_id in known.items()])
        return [_DONE if n in known else result for n, result in enumerate(results)]

    def _rows(self, sql: str, *parameters: str) -> set[IdentityRow]:
        return set(cast("Iterable[IdentityRow]", map(tuple, self._db.in_one(sql, parameters))))

    def _is_away(self, place: tuple[int, str, str], home: str | None) -> bool:
        row = self._db.execute(
            "SELECT t.home, t.state FROM files f JOIN transfers t ON t.id = f.transfer"
            " WHERE (f.root, f.folder, f.name) = (?, ?, ?)",
            place,
        ).fetchone()
        return row is not None and row["state"] in _NOT_SENT and row["home"] not in {None, home}

    def _observe(self, seen: Observation) -> ObserveResult:
        place = (self._db.root_id(seen.root), *split(seen.path))
        row = self._db.execute("SELECT * FROM files WHERE (root, folder, name) = (?, ?, ?)", place).fetchone()
        if row is None:
            refused = self._discovery.conflict(seen, place)
            return (
                ObserveResult(refused=refused)
                if refused
                else ObserveResult(candidate=self._discovery.discover(seen))
            )
        if (state := FileState(row["absent"])) is not FileState.PRESENT:
            self._db.execute(
                "UPDATE files SET absent = ? WHERE (root, folder, name) = (?, ?, ?)",
                [step(state, FileEvent.SEEN), *place],
            )
            self._transfers.end_slot(row["slot"])
            self._removal_ops.withdraw_removal(row["slot"], f"{seen.path} is there again")
        newest = self._transfers.find(row["transfer"])
        if newest and newest.state is State.DISCOVERED:
            return ObserveResult(candidate=self._at_home(newest, seen.home))
        if self._is_as_it_was(row, newest, seen):
            self._completion.reset_absence(seen.root, seen.path)
            return ObserveResult()
        if newest and newest.state is State.ABANDONED:
            return self._revive(newest, row, seen)
        candidate = self._discovery.discover(seen)
        if row["slot"] != candidate.route.slot.digest:  # the rules changed
            self._transfers.end_slot(row["slot"])
        return ObserveResult(candidate=candidate)

    def _is_as_it_was(self, row: sqlite3.Row, newest: Transfer | None, seen: Observation) -> bool:
        """Tell whether nothing changed; what Convex was asked to remove counts as new in any case."""
        if identity_of(row) != seen.identity or row["slot"] != seen.route.slot.digest:
            return False
        return not (newest and newest.is_removed) and not self._removal_ops.is_retracted(row["slot"])

    def _at_home(self, candidate: Transfer, home: str | None) -> Transfer:
        """Remember on which volume it was seen last."""
        if home is None or home == candidate.home:
            return candidate
        self._db.execute("UPDATE transfers SET home = ? WHERE id = ?", [home, candidate.row_id])
        return replace(candidate, home=home)

    def _revive(self, abandoned: Transfer, row: sqlite3.Row, seen: Observation) -> ObserveResult:
        if identity_of(row) is None:  # abandoned without an identity: this one is the one to compare with
            self._transfers.set_identity(abandoned, seen.identity)
            return ObserveResult()
        self._transfers.advance(abandoned, Event.REVIVED)
        return ObserveResult(candidate=self._transfers.one(abandoned.row_id))

"""After a journal's loss content that S3 and Convex already have is found before it is sent again.

1. What a new journal discovers before its first full scan is over *awaits a lookup*: nobody claims it.
2. ``sync/lookup.py`` asks Convex what the slots of these transfers show, and lets each transfer go with a
   ``KnownContent``: the key that Convex shows for the same checksum and size; or "search", where this sidecar
   had an earlier journal; or nothing.
3. ``upload/existing.py`` asks S3 by HEAD before it sends. If the object is there and is the content, the
   transfer is `adopted` (ready -> synced, without upload and op) or, found in S3 alone, `uploaded` (its op is
   to be sent). If Convex shows it and S3 does not have it, it is sent again under that key, with that
   transfer id.

A known object is never a clean-up task, because an older row of Convex may name it. Suppose A was sent, then
B, then the journal is lost and the file is A again. The search finds A's object, and it is announced as a
third version: two versions then name one object, and the bytes are not sent again. Whatever deletes
(retention, reconciling, ``expire``) therefore goes by key and not by version. An object that the search finds
under the transfer's own id is no such one: this journal sent it, and was killed before the answer.

Scenes that the first scan finds are recovered, too (``scenes.recalled``). Convex shows them as the lost
journal reported them, and a new journal that reported what little it knows would take every finished lesson
back for ``complete_after``. So of a recovered scene only its end is reported: after the first scan, once all
of it is in Convex, that it is complete (marker, manifest, quiet, or a clean drain) or spoilt. Any news ends
that, and from then on the scene is reported like any other: content that Convex shows otherwise or not at
all, a byte that is sent to S3, an op that Convex did not find unchanged, a file that is seen after the first
scan, or a file that somebody is seen writing. A second sidecar that takes a root over with a new journal of
its own does the same. Nothing is compared with what Convex shows of the scene: where Convex has lost
assets, its answers say so.

Markers are read again. A ``.cancelled`` then meets files that nobody has looked at, and abandons those that
are found incomplete and are not younger than it. Chunks that were deleted here after they were synced cannot
be counted by a new journal: where the sidecar had an earlier one, the quiet overrules a marker's number
(``JournalConnection.has_forerunner``). Scenes that the lost journal left unfinished and of which no file is
left are taken up from Convex (``sync/scene_recovery.py``, ``recover_scenes``).

Once the first scan is over nothing awaits a lookup, and nothing of this costs anything. It also runs at a
first start, since files may be there before the sidecar is: one query for a hundred files.
"""

from __future__ import annotations

from collections.abc import Sequence

from sidecar.core.model import StatIdentity
from sidecar.core.ops import ReportedScene
from sidecar.journal.db.connection import JournalConnection
from sidecar.journal.db.meta import RECALLING, SCANNED, UNFINISHED
from sidecar.journal.db.store import Store, transaction

from .scene_reports import facts_json
from .scenes import SCENE_CANCELLED
from .transfers import Transfers

SCENES_AT_ONCE = 100


class Recovery(Store):
    """What a new journal knows of content and scenes that an earlier one had sent."""

    def __init__(self, db: JournalConnection, transfers: Transfers) -> None:
        super().__init__(db)
        self._transfers = transfers

    @transaction
    def begin_recovery(self) -> None:
        """Let what a new journal finds await a lookup, also after a restart; an older one knows it all."""
        if self._db.is_new:
            RECALLING.set(self._db.conn)
            self._db.is_recovering = self._db.may_recall = True

    @transaction
    def end_recovery(self, *, after: tuple[str, str] = ("", "")) -> tuple[str, str] | None:
        """The first scan is in the journal: what comes from here on is new.

        Reports some recovered scenes: markers and manifests count now. Returns after which to go on, or None.
        """
        # Not of memory alone: a transaction that failed, and is made once more, has changed it.
        if self._db.is_new or RECALLING.is_set(self._db.conn):
            SCANNED.set(self._db.conn)
            UNFINISHED.set(self._db.conn)
        RECALLING.clear(self._db.conn)
        self._db.is_new = self._db.is_recovering = False
        rows = self._db.execute(
            "SELECT session_id, scene_id FROM scenes WHERE recalled = 1"
            " AND (session_id, scene_id) > (?, ?) ORDER BY session_id, scene_id LIMIT ?",
            [*after, SCENES_AT_ONCE],
        ).fetchall()
        for row in rows:
            self._db.gathered.touch(row["session_id"], row["scene_id"])
        return (rows[-1]["session_id"], rows[-1]["scene_id"]) if len(rows) == SCENES_AT_ONCE else None

    def has_scenes_to_recover(self) -> bool:
        """Tell whether Convex is yet to be asked which scenes the journal before this one left unfinished."""
        return UNFINISHED.is_set(self._db.conn)

    @transaction
    def recover_scenes(self, scenes: Sequence[ReportedScene], *, is_last: bool) -> None:
        """Know what Convex was sent of scenes. Of those of which no file is left only the end is reported."""
        self._db.may_recall = True
        for scene in scenes:
            name = [scene.session_id, scene.scene_id]
            self._db.execute(
                "INSERT OR IGNORE INTO scenes (session_id, scene_id, project_id, recalled)"
                " VALUES (?, ?, ?, 1)",
                [*name, scene.project_id],
            )
            self._db.execute(
                "UPDATE scenes SET reported = ? WHERE session_id = ? AND scene_id = ? AND reported IS NULL",
                [facts_json(scene.facts), *name],
            )
            self._db.gathered.touch(scene.session_id, scene.scene_id)
        if is_last:
            UNFINISHED.clear(self._db.conn)

    @transaction
    def candidate_written(self, row_id: int) -> None:
        """Somebody writes a candidate that awaits a lookup: something new is coming, whatever was there."""
        self._transfers.bring_news([row_id])

    @transaction
    def abandon_if_cancelled(self, row_id: int, identity: StatIdentity) -> bool:
        """Abandon a candidate that is incomplete if that is how its scene's marker left it.

        The marker was read before anybody had looked at the file. Returns whether it is abandoned.
        """
        row = self._db.execute(
            "SELECT 1 FROM transfers t JOIN scenes s USING (session_id, scene_id)"
            " WHERE t.id = ? AND t.state = 'discovered' AND s.cancelled_mtime_ns >= ?",
            [row_id, identity.mtime_ns],
        ).fetchone()
        if row is None:
            return False
        transfer = self._transfers.one(row_id)
        self._transfers.abandon(self._transfers.set_identity(transfer, identity), SCENE_CANCELLED)
        return True

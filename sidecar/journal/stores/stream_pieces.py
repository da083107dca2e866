"""Parks pieces of HLS and DASH streams until their scene is complete, withholds them beside a playlist.

Until streams are shipped as such, nothing of them may go. Muxers write segments first and playlists last,
so a *piece* (by name ts, m4s, `init*.mp4`; by content ``watch/formats/stream_pieces.py`` tells) is read like
any file, becomes `ready`, and is *parked*: nobody claims it. Then one of two things happens.

- A playlist is seen in its scene, or session: the rows of parked pieces are dropped, and the files are
  *withheld*. ``playlists`` remembers that there was one. It may be deleted, and the segments stay withheld.
  It is forgotten once the scene is forgotten, and a whole run of the daemon found neither a playlist nor a
  withheld file of it, while no root is away.
- The scene is complete (marker, manifest, quiet, or a drain): ``daemon/stream_pieces.py`` looks through the
  scene's folder once more, and lets the pieces go as the chunks that they are (``unpark``). Fragments do not
  count as a video then.

A video of any other kind is withheld while a playlist names it, and taken back if nothing of it was sent
when one does; what was begun goes on. Withheld files have no row. Each listing finds them anew, so that a
later version ships them, and only the disk remembers why they are withheld.

A scene of which all video is withheld, or let go as fragments, is reported as complete with files to come: it
is never ready. Convex sees to it as well: where all video of a scene is m4s or `init*.mp4` by name it is not
ready, whatever is reported, and beside a film none of these is its entry.

Three limits are known. A plain film (no piece by its content) that was sent before a playlist named it was
sent. A playlist that comes after its scene was complete finds its segments gone. `.ts` chunks are seen
``complete_after`` later than an MP4's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from sidecar.core.entities import Named
from sidecar.core.model import Fingerprint, Piece, State, StatIdentity, Transfer
from sidecar.core.scenes import derive
from sidecar.journal.db.connection import JournalConnection, Topic
from sidecar.journal.db.rows import FROM_TRANSFERS, route_from, transfer_from
from sidecar.journal.db.store import Store, transaction

from .completion import Completion
from .scene_reports import SceneReports
from .transfers import Transfers
from .withholding import _UNSENT, Withholding

Stream = tuple[str, str]  # session and scene; "" for what belongs to the session itself
_OF_STREAM = "t.session_id = ? AND coalesce(t.scene_id, '') = ?"


class PieceOutcome(Enum):
    """What became of a piece that is complete."""

    UNCHANGED = "unchanged"
    PARKED = "parked"
    WITHHELD = "withheld"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parked:
    """The parked pieces of one scene, or of a session.

    ``is_over``: marker, manifest or quiet completed it; ``is_unsettled``: a file of it is being written or
    read. ``newest`` is the last row that was counted, ``places`` holds (root, folder, the entity's folder).
    """

    project_id: str
    stream: Stream
    count: int
    newest: int
    is_over: bool
    is_unsettled: bool
    places: frozenset[tuple[str, str, str | None]]


class StreamPieces(Store):
    """Pieces parked, withheld beside a playlist, or let go with their scene."""

    def __init__(
        self,
        db: JournalConnection,
        transfers: Transfers,
        scene_reports: SceneReports,
        completion: Completion,
        withholding: Withholding,
    ) -> None:
        super().__init__(db)
        self._transfers, self._scene_reports = transfers, scene_reports
        self._completion, self._withholding = completion, withholding

    def playlists(self) -> dict[Stream, str]:
        """Return a playlist of every scene, and session, that ever had one: root and path, for people."""
        rows = self._db.execute("SELECT session_id, scene_id, path FROM playlists")
        return {(row["session_id"], row["scene_id"]): row["path"] for row in rows}

    @transaction
    def complete_piece(self, row_id: int, fingerprint: Fingerprint, piece: Piece) -> PieceOutcome:
        """discovered -> ready, and parked; or withheld, where a playlist was ever there."""
        if self._completion.complete(row_id, fingerprint) is not State.READY:
            return PieceOutcome.UNCHANGED
        transfer = self._transfers.one(row_id)
        known = self._db.execute(
            "SELECT path FROM playlists WHERE (session_id, scene_id) = (?, ?)", _stream(transfer)
        ).fetchone()
        if known is not None:
            self._withholding.withhold_transfer(transfer, known["path"])
            return PieceOutcome.WITHHELD
        self._db.execute("UPDATE transfers SET parked = 1, piece = ? WHERE id = ?", [piece, row_id])
        self._db.topics.add(Topic.PIECES)
        return PieceOutcome.PARKED

    @transaction
    def playlist_seen(self, named: Named, path: str) -> dict[str, StatIdentity | None]:
        """Remember that there is one, for ever; returns what it withheld, by path below its root."""
        stream = (named.session_id, named.scene_id or "")
        self._db.execute("INSERT OR IGNORE INTO playlists VALUES (?, ?, ?)", [*stream, path])
        if named.scene_id is not None:
            self._scene_reports.ensure_scene(named.project_id, *stream)
        rows = self._db.execute(
            f"{FROM_TRANSFERS} WHERE t.parked = 1 AND t.state = 'ready' AND {_OF_STREAM} AND {_UNSENT}",
            stream,
        ).fetchall()
        dropped = [transfer_from(row) for row in rows]
        for transfer in dropped:
            self._withholding.withhold_transfer(transfer, path)
        if named.scene_id is not None:
            self._db.gathered.touch(*stream)
        return {transfer.path: transfer.identity for transfer in dropped}

    def parked(self) -> list[Parked]:
        """Return what is parked, by scene."""
        rows = self._db.execute(
            "SELECT t.session_id, t.scene_id, t.id, r.path AS root, t.folder, t.mtime_ns, t.route"
            " FROM transfers t JOIN roots r ON r.id = t.root WHERE t.parked = 1 AND t.state = 'ready'"
            " ORDER BY +t.id"
        )
        groups: dict[Stream, list[Mapping[str, object]]] = {}
        for row in rows:
            groups.setdefault((row["session_id"], row["scene_id"] or ""), []).append(dict(row))
        return [self._group(stream, members) for stream, members in groups.items()]

    @transaction
    def unpark(self, stream: Stream, *, newest: int) -> None:
        """Let pieces be uploaded as what they are: no playlist was ever there, and the scene is complete."""
        self._db.execute(
            "UPDATE transfers AS t SET parked = 0 WHERE t.parked = 1 AND t.state = 'ready' AND t.id <= ?"
            f" AND {_OF_STREAM}",
            [newest, *stream],
        )
        self._db.topics.add(Topic.UPLOADS)

    # -- inside a transaction ----------------------------------------------------------------------

    def _group(self, stream: Stream, members: Sequence[Mapping[str, object]]) -> Parked:
        places = dict[tuple[str, str], str | None]()
        project_id = ""
        for member in members:
            place = (str(member["root"]), str(member["folder"]))
            if place not in places:
                route = route_from(str(member["route"]))
                places[place], project_id = route.entity_folder, route.project_id
        return Parked(
            project_id=project_id,
            stream=stream,
            count=len(members),
            newest=max(int(str(member["id"])) for member in members),
            is_over=self._is_over(stream, max(int(str(member["mtime_ns"])) for member in members)),
            is_unsettled=self._is_unsettled(stream),
            places=frozenset((*place, folder) for place, folder in places.items()),
        )

    def _is_unsettled(self, stream: Stream) -> bool:
        row = self._db.execute(
            f"SELECT 1 FROM transfers t WHERE t.state = 'discovered' AND {_OF_STREAM} LIMIT 1", stream
        )
        return row.fetchone() is not None

    def _is_over(self, stream: Stream, newest_mtime_ns: int) -> bool:
        session_id, scene_id = stream
        if scene_id:
            scene = self._scene_reports.scene(session_id, scene_id)
            return scene is not None and derive(self._scene_reports.knowledge(scene)).complete
        row = self._db.execute(
            "SELECT 1 FROM sessions WHERE session_id = ? AND manifest_mtime_ns >= ?",
            [session_id, newest_mtime_ns],
        )
        return row.fetchone() is not None


def _stream(transfer: Transfer) -> Stream:
    return transfer.route.slot.session_id, transfer.route.scene_id or ""

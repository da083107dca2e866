"""Parks pieces of HLS and DASH streams until their scene is complete, withholds them beside a playlist.

Until streams are shipped as such, nothing of them may go. Muxers write segments first and playlists last,
so a *piece* (by name ts, m4s, `init*.mp4`; by content ``watch/formats/stream_pieces.py`` tells) is read like
any file, becomes `ready`, and is *parked*: nobody claims it. Then one of two things happens.

- A playlist is seen in its scene, or session: the rows of parked pieces are dropped (`withheld`), and the
  files are held. ``playlists`` remembers that there was one. It may be deleted, and the segments stay held.
  It is forgotten once the scene is forgotten, and a whole life of the daemon found neither a playlist nor a
  held file of it, while no root is away.
- The scene is complete (marker, manifest, quiet, or a drain): ``daemon/stream_pieces.py`` looks through the
  scene's folder once more, and lets the pieces go as the chunks that they are (``unpark``). Fragments do not
  count as a video then.

A video of any other kind is held while a playlist names it, and taken back if nothing of it was sent when
one does; what was begun goes on. Held files have no row. Each listing finds them anew, so that a later
version ships them, and the disk is the only memory of what holds them.

A scene of which all video is held, or let go as fragments, is told as complete and owed: it is never ready.
Convex sees to it as well: where all video of a scene is m4s or `init*.mp4` by name it is not ready, whatever
is told, and beside a film none of these is its entry.

Three limits are known. A plain film (no piece by its content) that was sent before a playlist named it was
sent. A playlist that comes after its scene was complete finds its segments gone. `.ts` chunks are seen
``complete_after`` later than an MP4's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from sidecar.core.entities import Named
from sidecar.core.file_states import FileState
from sidecar.core.model import Fingerprint, Piece, State, Transfer
from sidecar.core.scenes import derive
from sidecar.core.states import Event
from sidecar.journal.db.connection import Topic, transaction
from sidecar.journal.db.rows import FROM_TRANSFERS, join, route_from, split, transfer_from

from .files import Files

Stream = tuple[str, str]  # session and scene; "" for what belongs to the session itself
_OF_STREAM = "t.session_id = ? AND coalesce(t.scene_id, '') = ?"
_ON_THE_WAY = {State.DISCOVERED, State.READY}
_COUNTED_APART = {State.DEAD, State.ABANDONED}  # an account counts it by its transfer
_UNSENT = "t.lease = 0 AND t.may_upload = 0 AND t.may_object = 0"


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


class StreamPieces(Files):
    """What the watch stage and the end of scenes say of pieces."""

    def playlists(self) -> dict[Stream, str]:
        """Return a playlist of every scene, and session, that ever had one: root and path, for people."""
        rows = self.db.execute("SELECT session_id, scene_id, path FROM playlists")
        return {(row["session_id"], row["scene_id"]): row["path"] for row in rows}

    @transaction
    def complete_piece(self, row_id: int, fingerprint: Fingerprint, piece: Piece) -> PieceOutcome:
        """discovered -> ready, and parked; or withheld, where a playlist was ever there."""
        if self.complete(row_id, fingerprint) is not State.READY:
            return PieceOutcome.UNCHANGED
        transfer = self.one(row_id)
        known = self.db.execute(
            "SELECT path FROM playlists WHERE (session_id, scene_id) = (?, ?)", _stream(transfer)
        ).fetchone()
        if known is not None:
            self._withhold(transfer, known["path"])
            return PieceOutcome.WITHHELD
        self.db.execute("UPDATE transfers SET parked = 1, piece = ? WHERE id = ?", [piece, row_id])
        self.topics.add(Topic.PIECES)
        return PieceOutcome.PARKED

    @transaction
    def playlist_seen(self, named: Named, path: str) -> list[str]:
        """Remember that there is one, for ever; returns the paths, below their roots, of what it withheld."""
        stream = (named.session_id, named.scene_id or "")
        self.db.execute("INSERT OR IGNORE INTO playlists VALUES (?, ?, ?)", [*stream, path])
        if named.scene_id is not None:
            self._ensure_scene(named.project_id, *stream)
        rows = self.db.execute(
            f"{FROM_TRANSFERS} WHERE t.parked = 1 AND t.state = 'ready' AND {_OF_STREAM} AND {_UNSENT}",
            stream,
        ).fetchall()
        dropped = [transfer_from(row) for row in rows]
        for transfer in dropped:
            self._withhold(transfer, path)
        if named.scene_id is not None:
            self.report_scene(*stream)
        return [transfer.path for transfer in dropped]

    def unsent(self, root: str, folder: str) -> list[tuple[int, str]]:
        """Return id and path of videos at or below a folder of which nothing was sent yet."""
        rows = self.db.execute(
            "SELECT id, folder, name FROM transfers t WHERE root = ?1 AND state IN ('discovered', 'ready')"
            f" AND asset_type IN ('video_chunk', 'combined_video') AND {_UNSENT}"
            " AND (?2 = '' OR folder = ?2 OR substr(folder, 1, ?3) = ?2 || '/')",
            [self.root_id(root), folder, len(folder) + 1],
        )
        return [(row["id"], join(row["folder"], row["name"])) for row in rows]

    @transaction
    def withhold(self, transfers: Mapping[int, str]) -> list[str]:
        """Drop rows of which nothing was sent, each with its reason; returns their paths."""
        dropped = []
        for row_id, why in transfers.items():
            transfer = self.find(row_id)
            if transfer is not None and self._is_unsent(transfer):
                self._withhold(transfer, why)
                dropped.append(transfer.path)
        return dropped

    @transaction
    def withhold_files(self, root: str, paths: Mapping[str, str]) -> list[str]:
        """Drop what is on its way of files that are held now, each with its reason; returns their paths."""
        dropped = []
        for path, why in paths.items():
            row = self.db.execute(
                "SELECT transfer FROM files WHERE (root, folder, name) = (?, ?, ?)",
                [self.root_id(root), *split(path)],
            ).fetchone()
            transfer = self.find(row["transfer"]) if row else None
            if transfer is None:
                continue
            if transfer.state is State.ABANDONED:
                self.advance(transfer, Event.REVIVED, why)
                transfer = self.one(transfer.row_id)
            if self._is_unsent(transfer):
                self._withhold(transfer, why)
                dropped.append(path)
        return dropped

    def withheld_now(self, root: str, files: Mapping[str, int | None]) -> dict[str, bool]:
        """Tell which held files are on their way no more, each with whether it is counted as delivered.

        Each comes with its ctime, None where that is not known: what looks as it did when it was handled is
        what became of it then.
        """
        withheld = {}
        for path, changed_ns in files.items():
            row = self.db.execute(
                "SELECT f.ctime_ns, f.absent, t.state FROM files f LEFT JOIN transfers t ON t.id = f.transfer"
                " WHERE (f.root, f.folder, f.name) = ((SELECT id FROM roots WHERE path = ?), ?, ?)",
                [root, *split(path)],
            ).fetchone()
            if row is None:
                withheld[path] = False
            elif row["state"] not in _ON_THE_WAY and (changed_ns is None or row["ctime_ns"] != changed_ns):
                is_present = FileState(row["absent"]) is FileState.PRESENT
                withheld[path] = is_present and row["state"] not in _COUNTED_APART
        return withheld

    def parked(self) -> list[Parked]:
        """Return what is parked, by scene."""
        rows = self.db.execute(
            "SELECT t.session_id, t.scene_id, t.id, r.path AS root, t.folder, t.mtime_ns, t.route"
            " FROM transfers t JOIN roots r ON r.id = t.root WHERE t.parked = 1 AND t.state = 'ready'"
            " ORDER BY t.id"
        )
        groups: dict[Stream, list[Mapping[str, object]]] = {}
        for row in rows:
            groups.setdefault((row["session_id"], row["scene_id"] or ""), []).append(dict(row))
        return [self._group(stream, members) for stream, members in groups.items()]

    @transaction
    def unpark(self, stream: Stream, *, newest: int) -> None:
        """Let pieces go, as what they are: no playlist was ever there, and the scene is complete."""
        self.db.execute(
            "UPDATE transfers AS t SET parked = 0 WHERE t.parked = 1 AND t.state = 'ready' AND t.id <= ?"
            f" AND {_OF_STREAM}",
            [newest, *stream],
        )
        self.topics.add(Topic.UPLOADS)

    # -- inside a transaction ----------------------------------------------------------------------

    def _withhold(self, transfer: Transfer, why: str) -> None:
        self.advance(transfer, Event.WITHHELD, why)
        self._forget_file(transfer)
        self.end_slot(transfer.route.slot.digest)
        self.report_scene(transfer.route.slot.session_id, transfer.route.scene_id)

    def _is_unsent(self, transfer: Transfer) -> bool:
        row = self.db.execute(
            f"SELECT 1 FROM transfers t WHERE id = ? AND state IN ('discovered', 'ready') AND {_UNSENT}",
            [transfer.row_id],
        )
        return row.fetchone() is not None

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
        row = self.db.execute(
            f"SELECT 1 FROM transfers t WHERE t.state = 'discovered' AND {_OF_STREAM} LIMIT 1", stream
        )
        return row.fetchone() is not None

    def _is_over(self, stream: Stream, newest_mtime_ns: int) -> bool:
        session_id, scene_id = stream
        if scene_id:
            scene = self._scene(session_id, scene_id)
            return scene is not None and derive(self._knowledge(scene)).complete
        row = self.db.execute(
            "SELECT 1 FROM sessions WHERE session_id = ? AND manifest_mtime_ns >= ?",
            [session_id, newest_mtime_ns],
        )
        return row.fetchone() is not None


def _stream(transfer: Transfer) -> Stream:
    return transfer.route.slot.session_id, transfer.route.scene_id or ""

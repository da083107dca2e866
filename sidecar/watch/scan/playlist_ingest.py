"""Tells the journal of playlists, and takes back what is on its way of the files that they hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from sidecar.core.findings import Finding
from sidecar.core.routing import WITHHELD_SEGMENT
from sidecar.journal.stores.stream_pieces import StreamPieces
from sidecar.journal.stores.withholding import Withholding
from sidecar.journal.writer import AsyncJournal
from sidecar.watch.complete.candidates import Candidates
from sidecar.watch.os.worker_threads import WorkerThreads

from .census import Example
from .playlists import Playlists, PlaylistSeen


class PlaylistIngest:
    """Journals the playlists of one root."""

    def __init__(
        self,
        *,
        root: str,
        journal: AsyncJournal,
        threads: WorkerThreads,
        candidates: Candidates,
        playlists: Playlists,
    ) -> None:
        """``playlists`` knows what lies on the disk."""
        self._root, self._journal, self._threads = root, journal, threads
        self._candidates, self._playlists = candidates, playlists

    async def journal_playlist(self, path: str, count: Callable[[Example], None]) -> None:
        """Journal a playlist, once each time that it was written, and withhold what it holds."""
        with self._candidates.playlist_comes():
            await self._journal_playlist(path, count)

    async def _journal_playlist(self, path: str, count: Callable[[Example], None]) -> None:
        seen = await self._threads.do(lambda: self._playlists.read_if_changed(path))
        if seen is None:
            return
        why = WITHHELD_SEGMENT.format(playlist=path)
        if seen.stream is not None:
            parked = await self._journal.do(StreamPieces.playlist_seen, seen.stream.named, path)
            for piece, identity in parked.items():
                if identity is not None:  # or each would be taken for a film, and read, once more
                    self._playlists.is_piece(piece, identity)
            await self._withhold_paths([*parked], why, count)
        named = await self._named(seen)
        if named:
            dropped = await self._journal.do(Withholding.withhold, dict.fromkeys(named, why))
            await self._withhold_paths(dropped, why, count)
        self._playlists.mark_journaled(seen)

    async def withhold(self, files: Mapping[str, str], examples: Iterable[Example]) -> Mapping[str, bool]:
        """Take back what is on its way of files that are held now, each with its reason.

        Returns those that are on their way no more, each with whether earlier content of it was delivered.
        """
        if not files:
            return {}
        for path in await self._journal.do(Withholding.withhold_files, self._root, files):
            self._candidates.drop(self._root, path)
        changed = {one.path: one.changed_ns for one in examples if one.path in files}
        return await self._journal.do(Withholding.withheld_now, self._root, changed)

    async def _named(self, seen: PlaylistSeen) -> list[int]:
        """Return the transfers of videos that it names and of which nothing was sent."""
        scope = seen.playlist.place.scope
        rows = await self._journal.do(Withholding.unsent, self._root, scope)
        return await self._threads.do(lambda: [number for number, path in rows if seen.playlist.names(path)])

    async def _withhold_paths(self, paths: Sequence[str], why: str, count: Callable[[Example], None]) -> None:
        if not paths:
            return
        for path in paths:
            self._candidates.drop(self._root, path)
        known = await self._journal.do(Withholding.withheld_now, self._root, dict.fromkeys(paths))
        for path, is_known in known.items():
            count(Example(path=path, finding=Finding.HELD, why=why, known=is_known))

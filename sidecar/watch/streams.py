"""Tell the journal of playlists, and see to it that what they hold is on its way no more."""

from __future__ import annotations

from collections.abc import Mapping

from sidecar.core.routing import HELD_SEGMENT
from sidecar.journal.journal import Journal
from sidecar.journal.writer import AsyncJournal

from .candidates import Candidates
from .census import Census, Example, Finding
from .hands import Hands
from .playlists import Playlists, PlaylistSeen


class StreamBook:
    """One root's."""

    def __init__(
        self,
        *,
        root: str,
        journal: AsyncJournal,
        hands: Hands,
        candidates: Candidates,
        playlists: Playlists,
    ) -> None:
        """``playlists`` knows what lies on the disk."""
        self._root, self._journal, self._hands = root, journal, hands
        self._candidates, self._playlists = candidates, playlists

    async def tell(self, path: str, census: Census) -> None:
        """Journal a playlist, once each time that it was written, and withhold what it holds."""
        seen = await self._hands.do(lambda: self._playlists.news(path))
        if seen is None:
            return
        why = HELD_SEGMENT.format(playlist=path)
        if seen.stream is not None:
            parked = await self._journal.do(Journal.playlist_seen, seen.stream.named, path)
            self._hold(dict.fromkeys(parked, why), census)
        named = await self._named(seen)
        dropped = await self._journal.do(Journal.withhold, dict.fromkeys(named, why)) if named else []
        self._hold(dict.fromkeys(dropped, why), census)
        self._playlists.told(seen)

    async def withhold(self, files: Mapping[str, str], census: Census) -> None:
        """Take back what is on its way of files that are held now."""
        if files:
            dropped = await self._journal.do(Journal.withhold_files, self._root, files)
            self._hold({path: files[path] for path in dropped}, census)

    async def _named(self, seen: PlaylistSeen) -> list[int]:
        """Return the transfers of videos that it names and of which nothing was sent."""
        scope = seen.playlist.place.scope
        rows = await self._journal.do(Journal.unsent, self._root, scope)
        return await self._hands.do(lambda: [number for number, path in rows if seen.playlist.names(path)])

    def _hold(self, files: Mapping[str, str], census: Census) -> None:
        for path, why in files.items():
            self._candidates.drop(self._root, path)
            census.add(Example(path=path, finding=Finding.HELD, why=why))

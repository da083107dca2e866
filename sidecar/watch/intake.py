"""Put what listings and events brought where it belongs: journal, candidates, markers, census."""

from __future__ import annotations

from collections.abc import Sequence

from sidecar.core.model import Observation
from sidecar.journal.journal import Journal
from sidecar.journal.writer import AsyncJournal

from .candidates import Candidates
from .census import Census, Example, Finding
from .markers import Markers, Told
from .sorting import Haul, MarkerSeen
from .streams import StreamBook

_BROKEN_MARKER = 'the marker is not JSON of the form {"chunks": 12}; it counts as an empty one'
_UNREAD_MARKER = "the marker cannot be read at this moment; it is tried again and again"


class Intake:
    """One root's. ``unfinished`` gathers paths that should be looked at again soon."""

    def __init__(
        self,
        *,
        root: str,
        journal: AsyncJournal,
        candidates: Candidates,
        markers: Markers,
        streams: StreamBook,
    ) -> None:
        self._root, self._journal, self._candidates, self._markers = root, journal, candidates, markers
        self._streams = streams
        self.unfinished: set[str] = set()

    async def take(self, haul: Haul, census: Census) -> None:
        """Journal a haul; return when it is durable and the candidates have room for more."""
        for example in haul.examples:
            census.add(example)
        for path in haul.playlists:  # before the segments that came with it
            await self._streams.tell(path, census)
        await self._streams.withhold(haul.withheld, census)
        start = 0
        while start < len(haul.observations):
            end = start + await self._candidates.room()
            await self._observe(haul.observations[start:end], census)
            start = end
        for seen in haul.markers:
            await self._tell(seen, census)
        if haul.missing:
            await self._journal.do(Journal.missing, self._root, haul.missing, homes=haul.homes)
        if haul.spared:
            await self._journal.do(Journal.missing, self._root, haul.spared, spared=True, homes=haul.homes)

    async def _observe(self, observations: Sequence[Observation], census: Census) -> None:
        sightings = await self._journal.do(Journal.observe, observations)
        for observation, sighting in zip(observations, sightings, strict=True):
            if sighting.candidate is not None:
                self._candidates.add(sighting.candidate)
            if sighting.refused is not None:
                census.add(Example(path=observation.path, finding=Finding.REFUSED, why=sighting.refused))

    async def _tell(self, seen: MarkerSeen, census: Census) -> None:
        told = await self._markers.tell(seen)
        if told is Told.LATER:
            self.unfinished.add(seen.path)
        elif told is Told.UNREAD:
            self.unfinished.add(seen.path)
            census.add(Example(path=seen.path, finding=Finding.REFUSED, why=_UNREAD_MARKER))
        elif told is Told.BROKEN:
            census.add(Example(path=seen.path, finding=Finding.REFUSED, why=_BROKEN_MARKER))

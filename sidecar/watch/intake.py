"""Puts what listings and events brought where it belongs: journal, candidates, markers, census."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from sidecar.core.model import Observation
from sidecar.journal.journal import Journal
from sidecar.journal.writer import AsyncJournal

from .candidates import Candidates
from .census import Example, Finding
from .markers import Markers, Told
from .sorting import Haul, MarkerSeen
from .streams import StreamBook

BROKEN_MARKER = 'the marker is not JSON of the form {"chunks": 12}; it counts as an empty one'
MARKER_TROUBLES = {
    Told.BROKEN: BROKEN_MARKER,
    Told.UNREAD: "the marker cannot be read at this moment; it is tried again and again",
}


class Intake:
    """Takes in what one root brought. ``unfinished`` gathers paths that should be looked at again soon."""

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

    async def take(self, haul: Haul, count: Callable[[Example], None]) -> None:
        """Journal a haul; return when it is durable and the candidates have room for more.

        ``count`` is told of what is not journaled.
        """
        for path in haul.playlists:  # before the segments that came with it
            await self._streams.tell(path, count)
        await self._count_all(haul, count)
        start = 0
        while start < len(haul.observations):
            end = start + await self._candidates.room()
            await self._observe(haul.observations[start:end], count)
            start = end
        for seen in haul.markers:
            await self._tell(seen, count)
        if haul.missing:
            await self._journal.do(Journal.missing, self._root, haul.missing, homes=haul.homes)
        if haul.spared:
            await self._journal.do(Journal.missing, self._root, haul.spared, spared=True, homes=haul.homes)

    async def _count_all(self, haul: Haul, count: Callable[[Example], None]) -> None:
        """Count what is not journaled; what is on its way all the same is no such thing."""
        known = await self._streams.withhold(haul.withheld, haul.examples)
        for example in haul.examples:
            if example.finding is not Finding.HELD:
                count(example)
            elif example.path in haul.withheld:
                if example.path in known:
                    count(replace(example, known=known[example.path]))
            elif not self._candidates.find(self._root, example.path):
                count(example)

    async def _observe(self, observations: Sequence[Observation], count: Callable[[Example], None]) -> None:
        sightings = await self._journal.do(Journal.observe, observations)
        for observation, sighting in zip(observations, sightings, strict=True):
            if sighting.candidate is not None:
                self._candidates.add(sighting.candidate)
            if sighting.refused is not None:
                count(Example(path=observation.path, finding=Finding.REFUSED, why=sighting.refused))

    async def _tell(self, seen: MarkerSeen, count: Callable[[Example], None]) -> None:
        told = await self._markers.tell(seen)
        if told in {Told.LATER, Told.UNREAD}:
            self.unfinished.add(seen.path)
        why = MARKER_TROUBLES.get(told)
        finding = Finding.REFUSED if why else Finding.IGNORED  # its content is never sent
        count(Example(path=seen.path, finding=finding, why=why or ""))

"""Puts what listings and events brought where it belongs: journal, candidates, markers, census."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from sidecar.core.findings import Finding
from sidecar.core.model import Observation
from sidecar.journal.stores.files import Files
from sidecar.journal.writer import AsyncJournal
from sidecar.watch.complete.candidates import Candidates

from .census import Example
from .classify import ListingBatch, MarkerSeen
from .markers import MarkerOutcome, Markers
from .playlist_ingest import PlaylistIngest

BROKEN_MARKER = 'the marker is not JSON of the form {"chunks": 12}; it counts as an empty one'
MARKER_TROUBLES = {
    MarkerOutcome.BROKEN: BROKEN_MARKER,
    MarkerOutcome.UNREAD: "the marker cannot be read at this moment; it is tried again and again",
}


class Ingest:
    """Takes in what one root brought. ``unfinished`` gathers paths that should be looked at again soon."""

    def __init__(
        self,
        *,
        root: str,
        journal: AsyncJournal,
        candidates: Candidates,
        markers: Markers,
        streams: PlaylistIngest,
    ) -> None:
        self._root, self._journal, self._candidates, self._markers = root, journal, candidates, markers
        self._streams = streams
        self.unfinished: set[str] = set()

    async def take(self, batch: ListingBatch, count: Callable[[Example], None]) -> None:
        """Journal a batch; return when it is durable and the candidates have room for more.

        ``count`` is told of what is not journaled.
        """
        for path in batch.playlists:  # before the segments that came with it
            await self._streams.journal_playlist(path, count)
        await self._count_all(batch, count)
        start = 0
        while start < len(batch.observations):
            end = start + await self._candidates.wait_for_room()
            await self._observe(batch.observations[start:end], count)
            start = end
        for seen in batch.markers:
            await self._journal_marker(seen, count)
        if batch.missing:
            await self._journal.do(Files.missing, self._root, batch.missing, homes=batch.homes)
        if batch.spared:
            await self._journal.do(Files.missing, self._root, batch.spared, spared=True, homes=batch.homes)

    async def _count_all(self, batch: ListingBatch, count: Callable[[Example], None]) -> None:
        """Count what is not journaled; what is on its way all the same is no such thing."""
        known = await self._streams.withhold(batch.withheld, batch.examples)
        for example in batch.examples:
            if example.finding is not Finding.HELD:
                count(example)
            elif example.path in batch.withheld:
                if example.path in known:
                    count(replace(example, known=known[example.path]))
            elif not self._candidates.find(self._root, example.path):
                count(example)

    async def _observe(self, observations: Sequence[Observation], count: Callable[[Example], None]) -> None:
        sightings = await self._candidates.observe(observations)
        self._candidates.add([seen.candidate for seen in sightings if seen.candidate is not None])
        for observation, sighting in zip(observations, sightings, strict=True):
            if sighting.refused is not None:
                count(Example(path=observation.path, finding=Finding.REFUSED, why=sighting.refused))

    async def _journal_marker(self, seen: MarkerSeen, count: Callable[[Example], None]) -> None:
        outcome = await self._markers.journal(seen)
        if outcome in {MarkerOutcome.LATER, MarkerOutcome.UNREAD}:
            self.unfinished.add(seen.path)
        why = MARKER_TROUBLES.get(outcome)
        finding = Finding.REFUSED if why else Finding.IGNORED  # its content is never sent
        count(Example(path=seen.path, finding=finding, why=why or ""))

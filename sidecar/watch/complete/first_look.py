"""Looks at new files before they are journaled: one that is complete is written once, as `ready`.

That is a short cut and no more. Whatever is not complete at the first look is journaled as `discovered`, and
its looks are the candidates'. So is a video if a playlist was taken in meanwhile, which takes back what the
journal has: this one it has not. Whoever is killed between look and journal has seen nothing, and the next
listing shows it again. Until it is journaled a file is ``waiting`` all the same.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from sidecar.core.clock import Clock
from sidecar.core.model import VIDEOS, AssetType, Fingerprint, Observation, Piece, StatIdentity
from sidecar.journal.stores.files import Files
from sidecar.journal.stores.known import ObserveResult
from sidecar.journal.writer import AsyncJournal
from sidecar.watch.os.worker_threads import WorkerThreads

from .probe import SMALL_BYTES, ProbePolicy, ProbeRequest, ProbeResult
from .schedule import Candidate, not_journaled

LOOK_SECONDS = 0.5  # of a batch: a disk that is slow, or hangs, holds up no listing
REFUSED_KEPT = 10_000
_TELLING = VIDEOS | {AssetType.THUMBNAIL}  # the rest is to be quiet first
_SILENT = (".ts", ".m4s")  # among them, too
Looks = Callable[[Iterable[tuple[ProbeRequest, ProbePolicy]], float], Iterator[ProbeResult]]
_keys = itertools.count()


@dataclass(slots=True, kw_only=True)
class _Batch:
    """Looks that go on in a thread: ``found`` is the content of what is complete, by the files' numbers."""

    numbers: Sequence[int]
    results: Iterator[ProbeResult]
    found: dict[int, Fingerprint] = field(default_factory=dict)
    is_over: bool = False  # nobody waits for the rest

    def run(self) -> None:
        for number, seen in zip(self.numbers, self.results, strict=True):
            if isinstance(seen.found, Fingerprint) and seen.piece is Piece.NONE:
                self.found[number] = replace(seen.found, media=seen.media) if seen.media else seen.found
            if self.is_over:
                return


class FirstLooks:
    """The first looks of all roots, one batch after the other. On the event loop but for the looks."""

    def __init__(
        self,
        *,
        journal: AsyncJournal,
        clock: Clock,
        threads: WorkerThreads,
        looks: Looks,
        policy: Callable[[str], ProbePolicy | None],
        find: Callable[[str, str], Candidate | None],
    ) -> None:
        """``looks`` makes them, ``policy`` tells a root's, ``find`` a path's candidate."""
        self._journal, self._clock, self._threads = journal, clock, threads
        self._looks, self._policy_of, self._find = looks, policy, find
        self._lane, self._is_late = asyncio.Lock(), False
        self._waiting: dict[int, Sequence[Observation]] = {}
        self._refused: dict[tuple[str, str], StatIdentity] = {}
        self._playlists_seen = self._playlists_coming = 0

    async def observe(self, observations: Sequence[Observation]) -> Sequence[ObserveResult]:
        """Journal files of one root that were seen, with their content where a look shows it by now."""
        asked = self._worth_a_look(observations)
        if not asked:
            return await self._journal.do(Files.observe, observations)
        key = next(_keys)
        self._waiting[key] = [observations[number] for number in asked]
        try:
            found = await self._look(observations, asked)
            # Nothing may come between the look's last question and this call.
            results = await self._journal.do(Files.observe, observations, found)
        finally:
            del self._waiting[key]
        self._remember_refused(observations, results)
        return results

    def waiting(self) -> list[Candidate]:
        """Return files that are looked at, and not journaled yet, as the candidates that they may become."""
        now = self._clock.monotonic()
        return [not_journaled(seen, now) for some in self._waiting.values() for seen in some]

    @contextmanager
    def playlist_comes(self) -> Iterator[None]:
        """Let no video pass by a playlist that is being taken in."""
        self._playlists_seen += 1
        self._playlists_coming += 1
        try:
            yield
        finally:
            self._playlists_coming -= 1

    def _worth_a_look(self, observations: Sequence[Observation]) -> list[int]:
        """Return the numbers of small new files which may tell at once that they are complete."""
        policy = self._policy_of(observations[0].root)
        if policy is None or not policy.has_leases or self._is_late:
            return []
        return [number for number, seen in enumerate(observations) if self._may_tell(seen)]

    def _may_tell(self, seen: Observation) -> bool:
        route, place = seen.route, (seen.root, seen.path)
        return (
            route.slot.asset_type in _TELLING
            and route.check_structure
            and seen.identity.size_bytes <= SMALL_BYTES
            and not seen.path.endswith(_SILENT)
            and self._find(*place) is None
            and self._refused.get(place) != seen.identity
        )

    async def _look(
        self, observations: Sequence[Observation], asked: Sequence[int]
    ) -> Mapping[int, Fingerprint]:
        """Return what is complete, and is none of what a playlist may hold that comes just now."""
        async with self._lane:
            if self._is_late:
                return {}
            playlists = None if self._playlists_coming else self._playlists_seen
            found = await self._look_at(observations, asked)
        if playlists == self._playlists_seen:
            return found
        return {n: content for n, content in found.items() if not observations[n].route.may_be_piece}

    async def _look_at(
        self, observations: Sequence[Observation], asked: Sequence[int]
    ) -> Mapping[int, Fingerprint]:
        """Return what the looks found that were made in time."""
        policy, now = self._policy_of(observations[0].root), self._clock.monotonic()
        assert policy is not None  # noqa: S101 - roots do not change
        requests = ((not_journaled(observations[n], now).probe_request(), policy) for n in asked)
        batch = _Batch(numbers=asked, results=self._looks(requests, now))
        work = asyncio.ensure_future(self._threads.do(batch.run))
        try:
            await asyncio.wait({work}, timeout=LOOK_SECONDS)
        finally:
            batch.is_over = True
        if work.done():
            work.result()
        else:
            self._is_late = True
            work.add_done_callback(self._come_back)
        return dict(batch.found)

    def _come_back(self, work: asyncio.Future[None]) -> None:
        self._is_late = False
        if not work.cancelled():
            work.exception()  # each file's own look meets it, too

    def _remember_refused(
        self, observations: Sequence[Observation], results: Sequence[ObserveResult]
    ) -> None:
        """Each listing shows them anew."""
        for seen, result in zip(observations, results, strict=True):
            if result.refused is not None:
                if len(self._refused) >= REFUSED_KEPT:
                    self._refused.clear()
                self._refused[seen.root, seen.path] = seen.identity

"""Keeps the candidates that wait to be complete, and when to look at each again: book-keeping in memory.

Quiet times are monotonic and begin anew with the process. A file that cannot be read counts as refused only
after some seconds and several failed reads; while this process itself lacks descriptors it is settling. How
long a file was quiet while it could not be read nobody can tell: that time begins anew, so no file is
abandoned for it. It is used on the event loop only.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Iterable
from dataclasses import dataclass

from sidecar.core.account import FileClass
from sidecar.core.clock import Clock
from sidecar.core.media_facts import MediaFacts
from sidecar.core.model import Observation, Piece, Route, StatIdentity, StreamKey, Transfer
from sidecar.obstacles import PROCESS

from .decide import Wait
from .probe import ProbeRequest, ProbeResult

CROWD_LOOKS_PER_SECOND = 250  # at all files together that are open for writing or incomplete
NEVER_PROBED_MAX = 2_000  # candidates never looked at: beyond it listings wait
REFUSED_AFTER_FAILURES = 3  # reads, within some seconds
AGAIN_SECONDS = 0.02  # after an event, or a change under a read
UNREADABLE_AGAIN_SECONDS_MAX = 5.0
TOUCH_SLACK_SECONDS = 0.05  # an event hastens no look that comes this soon anyway
NOT_PROBED = "it was not looked at yet"
NO_ROW = 0


@dataclass(slots=True, kw_only=True, eq=False)
class Candidate:
    """A file on its way to complete; ``why`` says in one sentence what it waits for."""

    row_id: int
    root: str
    path: str
    session_id: str
    rule_settle_seconds: float | None
    check_structure: bool
    identity: StatIdentity | None
    quiet_since: float
    due: float
    awaits_lookup: bool  # a new journal found it: Convex may know it, and its scene
    why: str = NOT_PROBED
    probes: int = 0
    is_being_probed: bool = False
    waits: bool = True  # nobody forgot it
    touched: bool = False  # while in hand: what the look saw may be old
    refused: bool = False
    is_torn: bool = False  # its structure is incomplete, and nobody writes it
    is_reported_written: bool = False  # that somebody writes it
    failures: int = 0  # reads that failed in a row
    home: str | None = None  # where it was seen last
    obstacle: str | None = None  # what was said to be in its way
    claim: StreamKey | None = None  # whose playlists may hold it
    piece: Piece = Piece.NONE
    media: MediaFacts | None = None  # what the last look's structure told

    @property
    def is_journaled(self) -> bool:
        """Whether the journal has it."""
        return self.row_id != NO_ROW

    @property
    def file_class(self) -> FileClass:
        """What it is now. A disk may fail for a moment: what cannot be read waits before it is refused."""
        if self.refused and (self.obstacle is None or self.failures >= REFUSED_AFTER_FAILURES):
            return FileClass.SETTLING if self.obstacle == PROCESS else FileClass.REFUSED
        return FileClass.INCOMPLETE if self.is_torn else FileClass.SETTLING

    def note(self, seen: ProbeResult, now: float) -> None:
        """Take in how it looked; ``now`` is of just before the look."""
        if seen.identity is not None and seen.identity != self.identity:
            self.identity, self.quiet_since = seen.identity, max(now, self.quiet_since)
        self.piece, self.media = seen.piece, seen.media

    def probe_request(self) -> ProbeRequest:
        """Return what a worker thread may see of it."""
        return ProbeRequest(
            row_id=self.row_id,
            root=self.root,
            path=self.path,
            rule_settle_seconds=self.rule_settle_seconds,
            check_structure=self.check_structure,
            identity=self.identity,
            quiet_since=self.quiet_since,
            home=self.home,
            claim=self.claim,
        )


class ProbeSchedule:
    """All candidates of all roots, by row and by path, and an agenda of looks."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._by_id: dict[int, Candidate] = {}
        self._by_path: dict[tuple[str, str], Candidate] = {}
        self._heap: list[tuple[float, int, Candidate]] = []
        self._order = itertools.count()
        self._woken, self._changed = asyncio.Event(), asyncio.Condition()
        self._waiting_long: set[int] = set()
        self._never_probed = 0

    def add(self, transfers: Iterable[Transfer]) -> None:
        """Take rows in state discovered; what is known is looked at again soon."""
        now = self._clock.monotonic()
        for transfer in transfers:
            known = self._by_id.get(transfer.row_id)
            if known is not None:
                known.home = transfer.home
                self._probe_soon(known)  # a listing saw it again, which says nothing of a change
                continue
            older = self._by_path.get((transfer.root, transfer.path))
            if older is not None:
                self.forget(older)
            candidate = _candidate(transfer, now)
            self._by_id[candidate.row_id] = candidate
            self._by_path[candidate.root, candidate.path] = candidate
            self._never_probed += 1
            heapq.heappush(self._heap, (now, next(self._order), candidate))
        self._woken.set()

    def touch(self, root: str, path: str) -> bool:
        """Look again soon, since something happened to a path. False if it is no candidate."""
        candidate = self._by_path.get((root, path))
        if candidate is None:
            return False
        candidate.quiet_since, candidate.touched = self._clock.monotonic(), True
        self._probe_soon(candidate)
        return True

    def see_again(self, root: str, paths: Iterable[str]) -> None:
        """Look again soon at those that wait: a listing showed them as they were, but perhaps closed."""
        for path in paths:
            if (candidate := self._by_path.get((root, path))) is not None:
                self._probe_soon(candidate)

    def find(self, root: str, path: str) -> Candidate | None:
        """Return the candidate at a path."""
        return self._by_path.get((root, path))

    def all(self) -> list[Candidate]:
        """Return every candidate."""
        return list(self._by_id.values())

    async def wait_for_room(self) -> None:
        """Wait while too many candidates have never been looked at."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._never_probed < NEVER_PROBED_MAX)

    async def probe_all_again(self, root: str) -> None:
        """Have every candidate of a root looked at once more; return when that is done."""
        now = self._clock.monotonic()
        asked = {candidate.row_id: candidate.probes for candidate in self.all() if candidate.root == root}
        for number in asked:
            self.probe_at(self._by_id[number], min(self._by_id[number].due, now))
        async with self._changed:
            await self._changed.wait_for(lambda: not self._is_unprobed(asked))

    def _is_unprobed(self, asked: dict[int, int]) -> bool:
        return any(
            (candidate := self._by_id.get(number)) is not None and candidate.probes == looks
            for number, looks in asked.items()
        )

    def take_due(self, limit: int) -> list[Candidate]:
        """Take up to ``limit`` candidates in hand whose time has come."""
        now, batch = self._clock.monotonic(), list[Candidate]()
        heap = self._heap
        while heap and heap[0][0] <= now and len(batch) < limit:
            due, _, candidate = heapq.heappop(heap)
            if due == candidate.due and not candidate.is_being_probed and candidate.waits:
                candidate.is_being_probed, candidate.touched = True, False
                batch.append(candidate)
        return batch

    async def sleep(self) -> None:
        """Wait until somebody is due, or may be."""
        self._woken.clear()
        delay = self._heap[0][0] - self._clock.monotonic() if self._heap else None
        try:
            async with asyncio.timeout(delay):
                await self._woken.wait()
        except TimeoutError:
            return

    def probe_at(self, candidate: Candidate, due: float) -> None:
        """Look at a monotonic time."""
        candidate.due = due
        heapq.heappush(self._heap, (due, next(self._order), candidate))
        self._woken.set()

    async def count_probes(self, looked_at: Iterable[Candidate]) -> None:
        """Count looks, and wake who waits for them."""
        for candidate in looked_at:
            if candidate.probes == 0 and candidate.waits:
                self._never_probed -= 1
            candidate.probes += 1
        async with self._changed:
            self._changed.notify_all()

    def spaced(self, candidate: Candidate, wait: Wait) -> float:
        """Return how long a candidate waits, among the others that wait as it does."""
        if not wait.crowded:
            self._waiting_long.discard(candidate.row_id)
            return wait.again_seconds
        return self._crowded(candidate, wait.again_seconds)

    def retry_unreadable(self, candidate: Candidate, why: str, *, refused: bool) -> None:
        """Look again at what cannot be read: soon, since a disk may fail once, then ever more rarely.

        For how long it was quiet nobody can tell then: that begins anew.
        """
        again = min(UNREADABLE_AGAIN_SECONDS_MAX, 2.0 ** min(candidate.failures, 5))
        self.probe_after(candidate, why, self._crowded(candidate, again))
        candidate.refused, candidate.failures = refused, candidate.failures + 1
        candidate.identity = None

    def _crowded(self, candidate: Candidate, again: float) -> float:
        self._waiting_long.add(candidate.row_id)
        return max(again, len(self._waiting_long) / CROWD_LOOKS_PER_SECOND)

    def probe_after(self, candidate: Candidate, why: str, again: float) -> None:
        """Look again after so many seconds; sooner if something happened while it was in hand."""
        candidate.why, candidate.refused, candidate.is_being_probed, candidate.is_torn = (
            why,
            False,
            False,
            False,
        )
        soon = AGAIN_SECONDS if candidate.touched else again
        self.probe_at(candidate, self._clock.monotonic() + min(soon, again))

    def forget(self, candidate: Candidate) -> None:
        """Forget a candidate that waits no more."""
        self._waiting_long.discard(candidate.row_id)
        if not candidate.waits:
            return
        candidate.waits = False
        self._never_probed -= candidate.probes == 0
        del self._by_id[candidate.row_id]
        del self._by_path[candidate.root, candidate.path]

    def _probe_soon(self, candidate: Candidate) -> None:
        now = self._clock.monotonic()
        if candidate.due > now + TOUCH_SLACK_SECONDS:
            self.probe_at(candidate, now + AGAIN_SECONDS)


def not_journaled(seen: Observation, now: float) -> Candidate:
    """Return a file that the journal does not have yet as the candidate that it may become."""
    return _new(NO_ROW, seen, now, awaits_lookup=False)


def _candidate(transfer: Transfer, now: float) -> Candidate:
    return _new(transfer.row_id, transfer, now, awaits_lookup=transfer.awaits_lookup)


def _new(row_id: int, of: Transfer | Observation, now: float, *, awaits_lookup: bool) -> Candidate:
    route: Route = of.route
    return Candidate(
        row_id=row_id,
        root=of.root,
        path=of.path,
        session_id=route.slot.session_id,
        rule_settle_seconds=route.settle_seconds,
        check_structure=route.check_structure,
        identity=None,
        quiet_since=now,
        due=now,
        awaits_lookup=awaits_lookup,
        home=of.home,
        claim=route.claim,
    )

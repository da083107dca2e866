"""Runs the candidates' life: looks at what is due, reads what is complete, journals what became of it.

Looks run in batches in worker threads; large files are read in two lanes of their own, so that a
thumbnail never waits for a film.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Concatenate, ParamSpec, Protocol, TypeVar, assert_never

import structlog

from sidecar.core.clock import Clock
from sidecar.core.model import Fingerprint, Piece, StatIdentity, Transfer
from sidecar.core.states import IllegalTransitionError
from sidecar.files import KeptFolder
from sidecar.journal.db.connection import Topic
from sidecar.journal.db.store import S
from sidecar.journal.stores.completion import Completion
from sidecar.journal.stores.recovery import Recovery
from sidecar.journal.stores.stream_pieces import PieceOutcome, StreamPieces
from sidecar.journal.stores.withholding import Withholding
from sidecar.journal.writer import AsyncJournal
from sidecar.obstacles import PROCESS, Obstacles
from sidecar.watch.os.filesystem import Filesystems
from sidecar.watch.os.worker_threads import WorkerThreads

from .decide import Wait
from .fingerprint import Changed, Vanished
from .first_look import FirstLooks
from .probe import (
    Abandon,
    Complete,
    PathError,
    ProbePolicy,
    ProbeRequest,
    ProbeResult,
    Unreadable,
    VolumeAway,
    Withhold,
    probe,
    read,
)
from .schedule import AGAIN_SECONDS, Candidate, ProbeSchedule

P = ParamSpec("P")
T = TypeVar("T")
Found = Fingerprint | Changed | Vanished | Unreadable | VolumeAway | Wait | Abandon | Withhold
log = structlog.get_logger()
BATCH_MAX = 100  # as many as the journal takes in at once
PROBE_LANES = 2
PROBE_SECONDS = 0.05  # a batch that takes longer has met a slow disk: the next one does not wait for it
READ_LANES = 2


class OnWithheld(Protocol):
    """Hears of a candidate that is held, and why, unless its content told."""

    def __call__(  # noqa: D102 - said above
        self, root: str, path: str, identity: StatIdentity, why: str | None, /, *, is_known: bool
    ) -> None: ...


class Candidates:
    """All candidates of all roots. Everything but the looks themselves runs on the event loop."""

    def __init__(
        self,
        *,
        journal: AsyncJournal,
        clock: Clock,
        threads: WorkerThreads,
        volumes: Filesystems,
        policy: Callable[[str], ProbePolicy | None],
        on_missed_event: Callable[[str, str], None],
        room: Callable[[], Awaitable[int]],
        obstacles: Obstacles,
        withhold_reason: Callable[[ProbeRequest, StatIdentity], str | None],
        on_withheld: OnWithheld,
        part_bytes: int | None,
    ) -> None:
        """``policy`` tells a root's, None of one that is not watched: its candidates stay in the journal.

        ``on_missed_event`` is told root and path of a file that left this list while events of it came in.
        ``room`` waits until the journal may take in more files, and returns how many at once. ``obstacles``
        is told what cannot be read. ``withhold_reason`` tells why a complete video is held by a playlist,
        ``on_withheld`` hears of one that is, and why, unless its content told. ``part_bytes``: files of this
        size or more are sent in such parts.
        """
        self._part_bytes = part_bytes
        self._obstacles, self._withhold_reason, self._on_withheld = obstacles, withhold_reason, on_withheld
        self._journal, self._clock, self._threads = journal, clock, threads
        self._volumes, self._policy_of, self._on_missed_event = volumes, policy, on_missed_event
        self._schedule = ProbeSchedule(clock)
        self._probe_lanes, self._read_lanes = asyncio.Semaphore(PROBE_LANES), asyncio.Semaphore(READ_LANES)
        self._batches, self._batch_over = 0, asyncio.Event()  # under way in the lanes for looks
        self.find, self.all, self.touch = self._schedule.find, self._schedule.all, self._schedule.touch
        self.see_again = self._schedule.see_again
        self.probe_all_again, self._room = self._schedule.probe_all_again, room
        self._first_looks = FirstLooks(
            journal=journal,
            clock=clock,
            threads=threads,
            looks=self._probe_each,
            policy=policy,
            find=self.find,
        )
        self.observe, self.playlist_comes = self._first_looks.observe, self._first_looks.playlist_comes

    def add(self, transfers: Sequence[Transfer]) -> None:
        """Take rows in state discovered, of roots that are watched."""
        watched = {root for root in {one.root for one in transfers} if self._policy_of(root) is not None}
        self._schedule.add([one for one in transfers if one.root in watched])

    def pending(self) -> list[Candidate]:
        """Return every candidate, and what may become one: it is being looked at before it is journaled."""
        return [*self._first_looks.waiting(), *self.all()]

    def drop(self, root: str, path: str) -> None:
        """Drop a candidate whose row is no more, since its file is held."""
        if (candidate := self.find(root, path)) is not None:
            self._schedule.forget(candidate)

    def forget_home(self, root: str, home: str) -> None:
        """Forget the home of these: where they were seen there is nothing any more."""
        for candidate in self.all():
            if candidate.root == root and candidate.home == home:
                candidate.home = None

    async def wait_for_room(self) -> int:
        """Wait while too many were never looked at, or the journal takes in no more; return how many go."""
        await self._schedule.wait_for_room()
        return await self._room()

    async def run(self) -> None:
        """Look at what is due, for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._reload())
            while True:
                await self._take_lane()
                while not (batch := self._schedule.take_due(BATCH_MAX)):
                    await self._schedule.sleep()
                self._batches += 1
                group.create_task(self._probe_batch(batch, group))

    async def _take_lane(self) -> None:
        """Wait for a lane; for the second one only while the batch in the first takes its time.

        Two threads that look at once take the interpreter from each other at each call of the system.
        """
        await self._probe_lanes.acquire()
        self._batch_over.clear()
        if self._batches:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PROBE_SECONDS):
                    await self._batch_over.wait()

    async def _reload(self) -> None:
        """Take in candidates that the journal made itself: superseded ones, and those of the last process."""
        news = self._journal.subscribe(Topic.CANDIDATES)
        while True:
            await news.wait()
            news.clear()
            began = self._clock.monotonic()
            for transfer in await self._journal.do(Completion.candidates):
                known = self.find(transfer.root, transfer.path)
                if known is None or known.row_id != transfer.row_id:
                    self.add([transfer])
            # Every new file rings this bell: what we observed ourselves is known already.
            await asyncio.sleep(max(0.5, 20 * (self._clock.monotonic() - began)))

    async def _probe_batch(self, batch: list[Candidate], group: asyncio.TaskGroup) -> None:
        now = self._clock.monotonic()
        policies = {root: self._policy_of(root) for root in {candidate.root for candidate in batch}}
        work = [(one.probe_request(), policy) for one in batch if (policy := policies[one.root]) is not None]
        try:
            results = await self._threads.do(lambda: list(self._probe_each(work, now)))
        finally:
            self._batches -= 1
            self._probe_lanes.release()
            self._batch_over.set()
        usual, others = list[tuple[Candidate, ProbeResult]](), list[tuple[Candidate, ProbeResult]]()
        for one in zip(batch, results, strict=True):
            (usual if _is_usual(*one) else others).append(one)
        await asyncio.gather(
            self._take_usual(usual, now), *(self._take_result(*one, now, group) for one in others)
        )
        await self._schedule.count_probes(batch)

    def _probe_each(
        self, work: Iterable[tuple[ProbeRequest, ProbePolicy]], now: float
    ) -> Iterator[ProbeResult]:
        with KeptFolder() as folder:
            for request, policy in work:
                yield self._probe(request, policy, now, folder)

    def _probe(
        self, request: ProbeRequest, policy: ProbePolicy, now: float, folder: KeptFolder
    ) -> ProbeResult:
        seen = probe(request, policy, self._volumes, now=now, folder=folder)
        if (
            request.claim is None
            or seen.identity is None
            or not isinstance(seen.found, Complete | Fingerprint)
        ):
            return seen
        why = self._withhold_reason(request, seen.identity)
        return seen if why is None else seen._replace(found=Withhold(why=why))

    async def _take_result(
        self, candidate: Candidate, seen: ProbeResult, now: float, group: asyncio.TaskGroup
    ) -> None:
        if candidate.awaits_lookup and not candidate.is_reported_written and _is_written(candidate, seen):
            candidate.is_reported_written = True
            await self._journal.do(Recovery.candidate_written, candidate.row_id)
        candidate.note(seen, now)
        if isinstance(seen.found, Complete):
            candidate.why = "complete, it is being read"
            group.create_task(self._read_large(candidate))
        else:
            await self._apply_result(candidate, seen.found)

    async def _take_usual(self, found: Sequence[tuple[Candidate, ProbeResult]], now: float) -> None:
        """Journal the content of many at once."""
        complete = list[tuple[Candidate, Fingerprint]]()
        for candidate, seen in found:
            candidate.note(seen, now)
            if candidate.obstacle is not None or candidate.failures:
                self._note_obstacle(candidate, None)
            if candidate.waits and isinstance(seen.found, Fingerprint):
                complete.append((candidate, _content(candidate, seen.found)))
        if not complete:
            return
        rows = [(candidate.row_id, fingerprint) for candidate, fingerprint in complete]
        try:
            await self._journal.do(Completion.complete_all, rows)
        except (LookupError, IllegalTransitionError):  # the row of one of them went on without us
            await asyncio.gather(*(self._record_content(*one) for one in complete))
        else:
            for candidate, _ in complete:
                self._leave(candidate)

    async def _read_large(self, candidate: Candidate) -> None:
        identity = candidate.identity
        assert identity is not None  # noqa: S101 - Complete was decided by looking at one
        async with self._read_lanes:
            found = await self._threads.do(
                lambda: read(candidate.probe_request(), identity, part_bytes=self._part_bytes)
            )
        await self._apply_result(candidate, found)
        await self._schedule.count_probes([candidate])

    async def _apply_result(self, candidate: Candidate, found: Found) -> None:
        """Record the fact, or plan the next look."""
        self._note_obstacle(candidate, found.by if isinstance(found, Unreadable | VolumeAway) else None)
        if not candidate.waits:
            return
        match found:
            case Fingerprint():
                await self._record_content(candidate, found)
            case Vanished() | Abandon() | Withhold():
                await self._record_end(candidate, found)
            case Changed():
                self._schedule.probe_after(candidate, "it changed while it was being read", AGAIN_SECONDS)
            case Unreadable(why=why):
                self._schedule.retry_unreadable(candidate, why, refused=True)
            case VolumeAway(why=why):
                self._schedule.retry_unreadable(candidate, why, refused=False)
            case Wait() if await self._is_cancelled(candidate, found):
                self._schedule.forget(candidate)
            case Wait():
                self._schedule.probe_after(candidate, found.why, self._schedule.spaced(candidate, found))
                candidate.is_torn = found.is_torn
            case _:
                assert_never(found)

    def _note_obstacle(self, candidate: Candidate, by: PathError | None) -> None:
        """Say what is in the way of a candidate, or that it is not any more."""
        where = None
        if by is not None:
            path = os.path.join(candidate.root, by.below) if by.below else candidate.root  # noqa: PTH118 - text
            where = self._obstacles.failed(path, by.error)
        if candidate.obstacle not in {None, where, PROCESS}:
            self._obstacles.over(candidate.obstacle or "")
        candidate.obstacle = where
        if by is None:
            candidate.failures = 0

    async def _is_cancelled(self, candidate: Candidate, found: Wait) -> bool:
        """Tell whether a file that a new journal found incomplete was given up by its scene's marker."""
        if not (candidate.awaits_lookup and found.is_torn and candidate.identity):
            return False
        return await self._journal.do(Recovery.abandon_if_cancelled, candidate.row_id, candidate.identity)

    async def _record(
        self,
        candidate: Candidate,
        method: Callable[Concatenate[S, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T | None:
        result = None
        try:
            result = await self._journal.do(method, *args, **kwargs)
        except (LookupError, IllegalTransitionError):
            # The row went on without us: two listings did not show the file, and another row took its place.
            log.debug("candidate_overtaken", path=candidate.path, root=candidate.root)
        self._leave(candidate)
        return result

    def _leave(self, candidate: Candidate) -> None:
        self._schedule.forget(candidate)
        if candidate.touched:
            self._on_missed_event(candidate.root, candidate.path)

    async def _record_content(self, candidate: Candidate, found: Fingerprint) -> None:
        found = _content(candidate, found)
        if candidate.piece is Piece.NONE:
            await self._record(candidate, Completion.complete, candidate.row_id, found)
            return
        method = StreamPieces.complete_piece
        if (
            await self._record(candidate, method, candidate.row_id, found, candidate.piece)
            is PieceOutcome.WITHHELD
        ):
            await self._report_withheld(candidate, found.identity, None)

    async def _record_end(self, candidate: Candidate, found: Vanished | Abandon | Withhold) -> None:
        match found:
            case Vanished():
                await self._record(candidate, Completion.vanish, candidate.row_id)
            case Abandon(why=why):
                await self._record(candidate, Completion.abandon, candidate.row_id, why, candidate.identity)
            case Withhold(why=why):
                await self._record(candidate, Withholding.withhold, {candidate.row_id: why})
                if candidate.identity is not None:
                    await self._report_withheld(candidate, candidate.identity, why)
            case _:
                assert_never(found)

    async def _report_withheld(self, candidate: Candidate, identity: StatIdentity, why: str | None) -> None:
        root, path = candidate.root, candidate.path
        withheld = await self._journal.do(Withholding.withheld_now, root, {path: None})
        if path in withheld:
            self._on_withheld(root, path, identity, why, is_known=withheld[path])


def _content(candidate: Candidate, found: Fingerprint) -> Fingerprint:
    if candidate.media is None:
        return found
    return Fingerprint(
        identity=found.identity, checksum=found.checksum, parts=found.parts, media=candidate.media
    )


def _is_usual(candidate: Candidate, seen: ProbeResult) -> bool:
    """Tell whether a look found content, and nothing else is to be done about it."""
    has_news = candidate.awaits_lookup and _is_written(candidate, seen)
    return isinstance(seen.found, Fingerprint) and seen.piece is Piece.NONE and not has_news


def _is_written(candidate: Candidate, seen: ProbeResult) -> bool:
    """Tell whether somebody was seen writing it: by lease, or by what changed between two looks."""
    has_changed = None not in {candidate.identity, seen.identity} and seen.identity != candidate.identity
    return has_changed or (isinstance(seen.found, Wait) and seen.found.is_written)

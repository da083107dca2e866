"""The files that are seen and not complete yet: when to look at each again, and what became of it.

Held in memory, loaded from the journal at start. Quiet times are monotonic and begin anew with the
process. Looks run in batches in worker threads; large files are read in two lanes of their own, so
that a thumbnail never waits for a film.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Concatenate, ParamSpec, assert_never

import structlog

from sidecar.core.clock import Clock
from sidecar.core.model import Fingerprint, StatIdentity, Transfer
from sidecar.core.states import IllegalTransitionError
from sidecar.journal import journal as remember
from sidecar.journal.writer import AsyncJournal

from .fingerprint import Changed, Vanished
from .hands import Hands
from .probe import Abandon, Complete, Habits, Look, Subject, Unreadable, look, read
from .readiness import Wait
from .volume import Volumes

P = ParamSpec("P")
Found = Fingerprint | Changed | Vanished | Unreadable | Wait | Abandon
log = structlog.get_logger()
BATCH_MAX = 64
CROWD_LOOKS_PER_SECOND = 250  # at all files together that are open for writing or incomplete
LOOKING_LANES = 2
READ_LANES = 2
FRESH_MAX = 2_000  # candidates never looked at: beyond it listings wait
AGAIN_SECONDS = 0.02  # after an event, or a change under a read
TOUCH_SLACK_SECONDS = 0.05  # an event hastens no look that comes this soon anyway
UNREADABLE_AGAIN_SECONDS = 30.0
NOT_LOOKED_AT = "it was not looked at yet"


@dataclass(slots=True, kw_only=True, eq=False)
class Candidate:
    """A file on its way to complete; ``why`` says in one sentence what it waits for."""

    id: int
    root: str
    path: str
    session_id: str
    rule_settle_seconds: float | None
    check_structure: bool
    identity: StatIdentity | None
    quiet_since: float
    due: float
    why: str = NOT_LOOKED_AT
    looks: int = 0
    in_hand: bool = False
    touched: bool = False  # while in hand: what the look saw may be old
    refused: bool = False

    def subject(self) -> Subject:
        """Return what a worker thread may see of it."""
        return Subject(
            id=self.id,
            root=self.root,
            path=self.path,
            rule_settle_seconds=self.rule_settle_seconds,
            check_structure=self.check_structure,
            identity=self.identity,
            quiet_since=self.quiet_since,
        )


class Candidates:
    """All candidates of all roots. Everything but the looks themselves runs on the event loop."""

    def __init__(
        self,
        *,
        journal: AsyncJournal,
        clock: Clock,
        hands: Hands,
        volumes: Volumes,
        habits: Callable[[str], Habits | None],
    ) -> None:
        """``habits`` tells a root's, None of one that is not watched: its candidates stay in the journal."""
        self._journal, self._clock, self._hands = journal, clock, hands
        self._volumes, self._habits = volumes, habits
        self._by_id: dict[int, Candidate] = {}
        self._by_path: dict[tuple[str, str], Candidate] = {}
        self._agenda: list[tuple[float, int, Candidate]] = []
        self._order = itertools.count()
        self._woken, self._changed = asyncio.Event(), asyncio.Condition()
        self._looking, self._reading = asyncio.Semaphore(LOOKING_LANES), asyncio.Semaphore(READ_LANES)
        self._crowd: set[int] = set()
        self._fresh = 0

    # -- what others ask ---------------------------------------------------------------------------

    def add(self, transfer: Transfer) -> None:
        """Take a row in state discovered; one that is known is looked at again soon."""
        known = self._by_id.get(transfer.id)
        if known is not None:
            self._hasten(known)  # a listing saw it again, which says nothing of a change
            return
        if self._habits(transfer.root) is None:
            return
        older = self.find(transfer.root, transfer.path)
        if older is not None:
            self._forget(older)
        now = self._clock.monotonic()
        candidate = Candidate(
            id=transfer.id,
            root=transfer.root,
            path=transfer.path,
            session_id=transfer.route.slot.session_id,
            rule_settle_seconds=transfer.route.settle_seconds,
            check_structure=transfer.route.check_structure,
            identity=None,
            quiet_since=now,
            due=now,
        )
        self._by_id[candidate.id] = candidate
        self._by_path[candidate.root, candidate.path] = candidate
        self._fresh += 1
        self._plan(candidate, now)

    def touch(self, root: str, path: str) -> bool:
        """Something happened to a path: look again soon. False if it is no candidate."""
        candidate = self._by_path.get((root, path))
        if candidate is None:
            return False
        candidate.quiet_since, candidate.touched = self._clock.monotonic(), True
        self._hasten(candidate)
        return True

    def find(self, root: str, path: str) -> Candidate | None:
        """Return the candidate at a path."""
        return self._by_path.get((root, path))

    def all(self) -> list[Candidate]:
        """Return every candidate."""
        return list(self._by_id.values())

    async def room(self) -> None:
        """Wait while too many candidates have never been looked at."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._fresh < FRESH_MAX)

    async def looked(self, root: str) -> None:
        """Have every candidate of a root looked at once more; return when that is done."""
        now = self._clock.monotonic()
        asked = {candidate.id: candidate.looks for candidate in self.all() if candidate.root == root}
        for number in asked:
            self._plan(self._by_id[number], min(self._by_id[number].due, now))
        async with self._changed:
            await self._changed.wait_for(lambda: not self._unlooked(asked))

    def _unlooked(self, asked: dict[int, int]) -> bool:
        return any(
            (candidate := self._by_id.get(number)) is not None and candidate.looks == looks
            for number, looks in asked.items()
        )

    # -- the work ----------------------------------------------------------------------------------

    async def run(self) -> None:
        """Look at what is due, for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._reload())
            while True:
                await self._looking.acquire()
                while not (batch := self._take_due()):
                    await self._sleep()
                group.create_task(self._look_at(batch, group))

    async def _reload(self) -> None:
        """Take in candidates that the journal made itself: overtaken files, and those of the last process."""
        news = self._journal.subscribe(remember.Topic.CANDIDATES)
        while True:
            await news.wait()
            news.clear()
            began = self._clock.monotonic()
            for transfer in await self._journal.do(remember.Journal.candidates):
                if transfer.id not in self._by_id:
                    self.add(transfer)
            # Every new file rings this bell: what we observed ourselves is known already.
            await asyncio.sleep(max(0.5, 20 * (self._clock.monotonic() - began)))

    def _take_due(self) -> list[Candidate]:
        now, batch = self._clock.monotonic(), list[Candidate]()
        while self._agenda and self._agenda[0][0] <= now and len(batch) < BATCH_MAX:
            due, _, candidate = heapq.heappop(self._agenda)
            if due == candidate.due and not candidate.in_hand and self._by_id.get(candidate.id) is candidate:
                candidate.in_hand, candidate.touched = True, False
                batch.append(candidate)
        return batch

    async def _sleep(self) -> None:
        self._woken.clear()
        delay = self._agenda[0][0] - self._clock.monotonic() if self._agenda else None
        try:
            async with asyncio.timeout(delay):
                await self._woken.wait()
        except TimeoutError:
            return

    async def _look_at(self, batch: list[Candidate], group: asyncio.TaskGroup) -> None:
        now = self._clock.monotonic()
        work = [(c.subject(), habits) for c in batch if (habits := self._habits(c.root)) is not None]
        try:
            looks = await self._hands.do(
                lambda: [look(subject, habits, self._volumes, now=now) for subject, habits in work]
            )
        finally:
            self._looking.release()
        await asyncio.gather(
            *(self._judge(candidate, seen, now, group) for candidate, seen in zip(batch, looks, strict=True))
        )
        await self._announce(batch)

    async def _judge(self, candidate: Candidate, seen: Look, now: float, group: asyncio.TaskGroup) -> None:
        if seen.identity is not None and seen.identity != candidate.identity:
            candidate.identity, candidate.quiet_since = seen.identity, max(now, candidate.quiet_since)
        if isinstance(seen.found, Complete):
            candidate.why = "complete, it is being read"
            group.create_task(self._read_large(candidate))
        else:
            await self._conclude(candidate, seen.found)

    async def _read_large(self, candidate: Candidate) -> None:
        identity = candidate.identity
        assert identity is not None  # noqa: S101 - Complete was decided by looking at one
        async with self._reading:
            found = await self._hands.do(lambda: read(candidate.subject(), identity))
        await self._conclude(candidate, found)
        await self._announce([candidate])

    async def _conclude(self, candidate: Candidate, found: Found) -> None:
        """Record the fact, or plan the next look."""
        if self._by_id.get(candidate.id) is not candidate:
            return
        match found:
            case Fingerprint():
                await self._record(candidate, remember.Journal.complete, candidate.id, found)
            case Vanished():
                await self._record(candidate, remember.Journal.vanish, candidate.id)
            case Abandon(why=why):
                await self._record(candidate, remember.Journal.neglect, candidate.id, why, candidate.identity)
            case Changed():
                self._put_back(candidate, "it changed while it was being read", AGAIN_SECONDS)
            case Unreadable(why=why):
                self._put_back(candidate, why, UNREADABLE_AGAIN_SECONDS, refused=True)
            case Wait():
                self._put_back(candidate, found.why, self._again(candidate, found))
            case _:
                assert_never(found)

    async def _record(
        self,
        candidate: Candidate,
        method: Callable[Concatenate[remember.Journal, P], object],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> None:
        try:
            await self._journal.do(method, *args, **kwargs)
        except (LookupError, IllegalTransitionError):
            # The row went on without us: two listings did not show the file, and another row took its place.
            log.info("candidate_overtaken", path=candidate.path, root=candidate.root)
        self._forget(candidate)

    def _again(self, candidate: Candidate, wait: Wait) -> float:
        if not wait.crowded:
            self._crowd.discard(candidate.id)
            return wait.again_seconds
        self._crowd.add(candidate.id)
        return max(wait.again_seconds, len(self._crowd) / CROWD_LOOKS_PER_SECOND)

    def _put_back(self, candidate: Candidate, why: str, again: float, *, refused: bool = False) -> None:
        candidate.why, candidate.refused, candidate.in_hand = why, refused, False
        soon = AGAIN_SECONDS if candidate.touched else again
        self._plan(candidate, self._clock.monotonic() + min(soon, again))

    def _forget(self, candidate: Candidate) -> None:
        if candidate.looks == 0 and candidate.id in self._by_id:
            self._fresh -= 1
        self._by_id.pop(candidate.id, None)
        self._crowd.discard(candidate.id)
        if self._by_path.get((candidate.root, candidate.path)) is candidate:
            del self._by_path[candidate.root, candidate.path]

    def _hasten(self, candidate: Candidate) -> None:
        now = self._clock.monotonic()
        if candidate.due > now + TOUCH_SLACK_SECONDS:
            self._plan(candidate, now + AGAIN_SECONDS)

    def _plan(self, candidate: Candidate, due: float) -> None:
        candidate.due = due
        heapq.heappush(self._agenda, (due, next(self._order), candidate))
        self._woken.set()

    async def _announce(self, looked_at: Iterable[Candidate]) -> None:
        for candidate in looked_at:
            if candidate.looks == 0 and candidate.id in self._by_id:
                self._fresh -= 1
            candidate.looks += 1
        async with self._changed:
            self._changed.notify_all()

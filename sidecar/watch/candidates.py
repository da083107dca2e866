"""Runs the candidates' life: looks at what is due, reads what is complete, journals what became of it.

Looks run in batches in worker threads; large files are read in two lanes of their own, so that a
thumbnail never waits for a film.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Concatenate, ParamSpec, Protocol, TypeVar, assert_never

import structlog

from sidecar.core.clock import Clock
from sidecar.core.model import Fingerprint, Piece, StatIdentity, Transfer
from sidecar.core.states import IllegalTransitionError
from sidecar.journal import journal as remember
from sidecar.journal.writer import AsyncJournal
from sidecar.obstacles import PROCESS, Obstacles

from .fingerprint import Changed, Vanished
from .hands import Hands
from .probe import (
    Abandon,
    Away,
    Complete,
    Habits,
    Look,
    Obstructed,
    Subject,
    Unreadable,
    Withhold,
    look,
    read,
)
from .readiness import Wait
from .volume import Volumes
from .waitlist import AGAIN_SECONDS, Candidate, Waitlist

P = ParamSpec("P")
T = TypeVar("T")
Found = Fingerprint | Changed | Vanished | Unreadable | Away | Wait | Abandon | Withhold
log = structlog.get_logger()
BATCH_MAX = 64
LOOKING_LANES = 2
READ_LANES = 2


class Withheld(Protocol):
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
        hands: Hands,
        volumes: Volumes,
        habits: Callable[[str], Habits | None],
        missed: Callable[[str, str], None],
        room: Callable[[], Awaitable[int]],
        obstacles: Obstacles,
        held: Callable[[Subject, StatIdentity], str | None],
        withheld: Withheld,
    ) -> None:
        """``habits`` tells a root's, None of one that is not watched: its candidates stay in the journal.

        ``missed`` is told root and path of a file that left this list while events of it came in.
        ``room`` waits until the journal may take in more files, and returns how many at once. ``obstacles``
        is told what cannot be read. ``held`` tells why a complete video is held by a playlist,
        ``withheld`` hears of one that is, and why, unless its content told.
        """
        self._obstacles, self._held, self._withheld = obstacles, held, withheld
        self._journal, self._clock, self._hands = journal, clock, hands
        self._volumes, self._habits, self._missed = volumes, habits, missed
        self._waitlist = Waitlist(clock)
        self._looking, self._reading = asyncio.Semaphore(LOOKING_LANES), asyncio.Semaphore(READ_LANES)
        self.find, self.all, self.touch = self._waitlist.find, self._waitlist.all, self._waitlist.touch
        self.looked, self._room = self._waitlist.looked, room

    def add(self, transfer: Transfer) -> None:
        """Take a row in state discovered, if its root is watched."""
        if self._habits(transfer.root) is not None:
            self._waitlist.add(transfer)

    def drop(self, root: str, path: str) -> None:
        """Drop a candidate whose row is no more, since its file is held."""
        if (candidate := self.find(root, path)) is not None:
            self._waitlist.forget(candidate)

    def forget_home(self, root: str, home: str) -> None:
        """Forget the home of these: where they were seen there is nothing any more."""
        for candidate in self.all():
            if candidate.root == root and candidate.home == home:
                candidate.home = None

    async def room(self) -> int:
        """Wait while too many were never looked at, or the journal takes in no more; return how many go."""
        await self._waitlist.room()
        return await self._room()

    async def run(self) -> None:
        """Look at what is due, for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._reload())
            while True:
                await self._looking.acquire()
                while not (batch := self._waitlist.take_due(BATCH_MAX)):
                    await self._waitlist.sleep()
                group.create_task(self._look_at(batch, group))

    async def _reload(self) -> None:
        """Take in candidates that the journal made itself: overtaken files, and those of the last process."""
        news = self._journal.subscribe(remember.Topic.CANDIDATES)
        while True:
            await news.wait()
            news.clear()
            began = self._clock.monotonic()
            for transfer in await self._journal.do(remember.Journal.candidates):
                known = self.find(transfer.root, transfer.path)
                if known is None or known.id != transfer.id:
                    self.add(transfer)
            # Every new file rings this bell: what we observed ourselves is known already.
            await asyncio.sleep(max(0.5, 20 * (self._clock.monotonic() - began)))

    async def _look_at(self, batch: list[Candidate], group: asyncio.TaskGroup) -> None:
        now = self._clock.monotonic()
        work = [(c.subject(), habits) for c in batch if (habits := self._habits(c.root)) is not None]
        try:
            looks = await self._hands.do(
                lambda: [self._look(subject, habits, now) for subject, habits in work]
            )
        finally:
            self._looking.release()
        await asyncio.gather(
            *(self._judge(candidate, seen, now, group) for candidate, seen in zip(batch, looks, strict=True))
        )
        await self._waitlist.announce(batch)

    def _look(self, subject: Subject, habits: Habits, now: float) -> Look:
        seen = look(subject, habits, self._volumes, now=now)
        if (
            subject.claim is None
            or seen.identity is None
            or not isinstance(seen.found, Complete | Fingerprint)
        ):
            return seen
        why = self._held(subject, seen.identity)
        return seen if why is None else replace(seen, found=Withhold(why=why))

    async def _judge(self, candidate: Candidate, seen: Look, now: float, group: asyncio.TaskGroup) -> None:
        if candidate.held and not candidate.is_told and _is_written(candidate, seen):
            candidate.is_told = True
            await self._journal.do(remember.Journal.written, candidate.id)
        if seen.identity is not None and seen.identity != candidate.identity:
            candidate.identity, candidate.quiet_since = seen.identity, max(now, candidate.quiet_since)
        candidate.piece = seen.piece
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
        await self._waitlist.announce([candidate])

    async def _conclude(self, candidate: Candidate, found: Found) -> None:
        """Record the fact, or plan the next look."""
        self._tell(candidate, found.by if isinstance(found, Unreadable | Away) else None)
        if candidate not in self._waitlist:
            return
        match found:
            case Fingerprint():
                await self._record_content(candidate, found)
            case Vanished() | Abandon() | Withhold():
                await self._record_end(candidate, found)
            case Changed():
                self._waitlist.put_back(candidate, "it changed while it was being read", AGAIN_SECONDS)
            case Unreadable(why=why):
                self._waitlist.put_off(candidate, why, refused=True)
            case Away(why=why):
                self._waitlist.put_off(candidate, why, refused=False)
            case Wait() if await self._is_cancelled(candidate, found):
                self._waitlist.forget(candidate)
            case Wait():
                self._waitlist.put_back(candidate, found.why, self._waitlist.spaced(candidate, found))
                candidate.is_torn = found.is_torn
            case _:
                assert_never(found)

    def _tell(self, candidate: Candidate, by: Obstructed | None) -> None:
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
        if not (candidate.held and found.is_torn and candidate.identity):
            return False
        return await self._journal.do(remember.Journal.torn, candidate.id, candidate.identity)

    async def _record(
        self,
        candidate: Candidate,
        method: Callable[Concatenate[remember.Journal, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T | None:
        result = None
        try:
            result = await self._journal.do(method, *args, **kwargs)
        except (LookupError, IllegalTransitionError):
            # The row went on without us: two listings did not show the file, and another row took its place.
            log.debug("candidate_overtaken", path=candidate.path, root=candidate.root)
        self._waitlist.forget(candidate)
        if candidate.touched:
            self._missed(candidate.root, candidate.path)
        return result

    async def _record_content(self, candidate: Candidate, found: Fingerprint) -> None:
        if candidate.piece is Piece.NONE:
            await self._record(candidate, remember.Journal.complete, candidate.id, found)
            return
        method = remember.Journal.complete_piece
        if (
            await self._record(candidate, method, candidate.id, found, candidate.piece)
            is remember.Fate.WITHHELD
        ):
            await self._say_withheld(candidate, found.identity, None)

    async def _record_end(self, candidate: Candidate, found: Vanished | Abandon | Withhold) -> None:
        match found:
            case Vanished():
                await self._record(candidate, remember.Journal.vanish, candidate.id)
            case Abandon(why=why):
                await self._record(candidate, remember.Journal.neglect, candidate.id, why, candidate.identity)
            case Withhold(why=why):
                await self._record(candidate, remember.Journal.withhold, {candidate.id: why})
                if candidate.identity is not None:
                    await self._say_withheld(candidate, candidate.identity, why)
            case _:
                assert_never(found)

    async def _say_withheld(self, candidate: Candidate, identity: StatIdentity, why: str | None) -> None:
        root, path = candidate.root, candidate.path
        held = await self._journal.do(remember.Journal.held_now, root, {path: None})
        if path in held:
            self._withheld(root, path, identity, why, is_known=held[path])


def _is_written(candidate: Candidate, seen: Look) -> bool:
    """Tell whether somebody was seen writing it: by lease, or by what changed between two looks."""
    has_changed = None not in {candidate.identity, seen.identity} and seen.identity != candidate.identity
    return has_changed or (isinstance(seen.found, Wait) and seen.found.is_written)

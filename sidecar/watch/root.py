"""One watched root, from its lock to its last listing: waits for it, watches it, follows its remaking."""

from __future__ import annotations

import asyncio
import functools
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import structlog

from sidecar.core.clock import Clock
from sidecar.core.routing import Router
from sidecar.journal.writer import AsyncJournal

from .absences import Absences
from .candidates import Candidates
from .census import Census
from .events import Notifier, WatchLostError
from .hands import Hands
from .hints import Hints
from .intake import Intake
from .lock import acquire, place_of
from .markers import Markers
from .scan import Scanner, Walked
from .sorting import Haul
from .volume import Readiness, Volumes, file_system_type, is_remote

log = structlog.get_logger()
SCAN_SECONDS = 2.0  # between listings where nothing else gives notice
CPU_FACTOR, CPU_FACTOR_SCANNING = 200, 20  # listings may take half a percent of a core; five where they must
PLACE_SECONDS = 1.0  # how soon a root that was made, removed or made again is noticed
REBUILD_SECONDS = (0.1, 30.0)
STEADY_SECONDS = 10.0
MISSING = "the folder does not exist"
UNHEARD = "inotify cannot watch its folders ({error}): they are listed every few seconds instead"
LOCKED = "another sidecar watches this folder; waiting for it to end"


@dataclass(frozen=True, slots=True, kw_only=True)
class RootSettings:
    """What the configuration says of a root. ``path`` is absolute, as the router knows it.

    ``removal`` is what a file's absence means: keep | tombstone | delete.
    """

    path: str
    events: str  # auto | inotify | scan
    settle_seconds: float
    rescan_seconds: float
    removal: str = "keep"


class RootWatch:
    """A root's tasks and what is known of it.

    ``problem`` is a sentence while it is not watched, ``trouble`` while it is watched less well than it
    was meant to be.
    """

    def __init__(
        self,
        settings: RootSettings,
        *,
        router: Router,
        journal: AsyncJournal,
        clock: Clock,
        candidates: Candidates,
        volumes: Volumes,
        hands: Hands,
        others_listed: Callable[[float], bool],
    ) -> None:
        """``others_listed`` tells whether every watched root was listed by a listing begun after a time."""
        self.settings, self.path = settings, settings.path
        self.readiness, self.scanning = Readiness.SETTLE, settings.events == "scan"
        self.problem: str | None = "it is being looked at for the first time"
        self.trouble: str | None = None
        self.last_scan_ms: int | None = None
        self.census = Census()
        self.listed = asyncio.Event()  # once, or found missing
        self._clock, self._volumes, self._hands, self._candidates = clock, volumes, hands, candidates
        self._notifier: Notifier | None = None
        self._scanner = functools.partial(
            Scanner,
            root=self.path,
            router=router,
            journal=journal,
            hands=hands,
            is_watched=self._is_watched,
        )
        markers = Markers(root=self.path, journal=journal, hands=hands)
        self._intake = Intake(root=self.path, journal=journal, candidates=candidates, markers=markers)
        self._hints = Hints(
            root=self.path,
            router=router,
            candidates=candidates,
            hands=hands,
            scanner=self._scanner(take=self._take_hint),
            unfinished=self._intake.unfinished,
            cover=self._cover,
        )
        self._absences = Absences(
            root=self.path,
            removal=settings.removal,
            between_seconds=settings.rescan_seconds,
            journal=journal,
            hands=hands,
            clock=clock,
            others_listed=others_listed,
        )
        self._listing_began = clock.monotonic()  # of the last one that is in the journal
        self._wanted, self._waiters = asyncio.Event(), list[asyncio.Future[None]]()

    async def run(self) -> None:
        """Watch the root as often as it appears, for ever."""
        try:
            while True:
                await self._once()
                await asyncio.sleep(PLACE_SECONDS)
        finally:
            for waiter in self._waiters:
                waiter.cancel()

    async def scan(self) -> None:
        """Return when a full listing that began after this call is in the journal, or there is no root."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        self._wanted.set()
        if self.problem is not None and self.listed.is_set():
            self._excuse(self.problem)
        await waiter

    def is_listed_since(self, at: float) -> bool:
        """Tell whether a full listing begun after ``at`` (monotonic) is journaled, or there is no root."""
        return self.problem is not None or self._listing_began > at

    def look_later(self, path: str) -> None:
        """Look at a path once more, soon."""
        self._hints.put_off([path])

    # -- the life of one incarnation of the folder -------------------------------------------------

    async def _once(self) -> None:
        try:
            fd = await acquire(
                self.path, executor=self._hands.executor, waiting=lambda: self._excuse(LOCKED, listed=False)
            )
        except FileNotFoundError:
            self._excuse(MISSING)
            return
        except OSError as error:
            self._excuse(f"the folder cannot be opened: {error.strerror}")
            return
        try:
            found = os.fstat(fd)
            await self._watch(fd, (found.st_dev, found.st_ino))
        finally:
            os.close(fd)

    async def _watch(self, fd: int, place: tuple[int, int]) -> None:
        self.readiness = await self._hands.do(lambda: self._volumes.measure(fd))
        self.scanning = await self._hands.do(self._must_scan)
        self.problem = self.trouble = None
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._list_for_ever()), group.create_task(self._hints.follow_up())]
            if self.scanning:
                self._wanted.set()
            else:
                tasks.append(group.create_task(self._listen_for_ever()))
            await self._until_replaced(place)
            for task in tasks:
                task.cancel()
        log.warning("root_replaced", root=self.path)

    async def _until_replaced(self, place: tuple[int, int]) -> None:
        while await self._hands.do(lambda: place_of(self.path)) == place:  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(PLACE_SECONDS)

    def _must_scan(self) -> bool:
        events = self.settings.events
        return events == "scan" or (events == "auto" and is_remote(file_system_type(self.path)))

    def _excuse(self, problem: str, *, listed: bool = True) -> None:
        """Say why nothing is watched; whoever waits for a listing need not wait for a folder."""
        self.problem = problem
        if listed:
            self.listed.set()
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    # -- listings ----------------------------------------------------------------------------------

    async def _list_for_ever(self) -> None:
        await self._wanted.wait()
        while True:
            self._wanted.clear()
            spent = await self._list()
            try:
                async with asyncio.timeout(self._rest(spent)):
                    await self._wanted.wait()
            except TimeoutError:
                continue

    async def _list(self) -> float:
        waiters, self._waiters = self._waiters, []
        census, began = Census(), self._clock.monotonic()
        try:
            places = await self._absences.begin()
            walked: Walked = await self._scanner(
                take=functools.partial(self._intake.take, census=census)
            ).scan(places)
            self._cover(walked.unwatched)
            self._listing_began = began
            await self._absences.end(places)
        except BaseException:
            self._waiters += waiters
            raise
        self.census, self.last_scan_ms = census, self._clock.wall_ms()
        self.listed.set()
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
        return walked.spent_seconds

    def _rest(self, spent_seconds: float) -> float:
        """Return how long to wait after a listing that took so much CPU time."""
        if self.scanning:
            return max(SCAN_SECONDS, CPU_FACTOR_SCANNING * spent_seconds)
        return max(self.settings.rescan_seconds, CPU_FACTOR * spent_seconds)

    async def _take_hint(self, haul: Haul) -> None:
        for path in (
            *haul.missing,
            *haul.spared,
        ):  # only full listings tell of absence; but a candidate may be looked at
            self._candidates.touch(self.path, path)
        haul.missing.clear()
        haul.spared.clear()
        await self._intake.take(haul, self.census)

    # -- events ------------------------------------------------------------------------------------

    async def _listen_for_ever(self) -> None:
        pause = REBUILD_SECONDS[0]
        while True:
            began = self._clock.monotonic()
            try:
                await self._listen()
            except (OSError, WatchLostError) as error:
                self._lost(error, pause)
            lasted = self._clock.monotonic() - began
            pause = REBUILD_SECONDS[0] if lasted > STEADY_SECONDS else min(2 * pause, REBUILD_SECONDS[1])
            await asyncio.sleep(pause)

    async def _listen(self) -> None:
        async with Notifier(self.path, clock=self._clock, covered=self._hints.put_off) as notifier:
            self._notifier, self.scanning, self.trouble = notifier, False, None
            self._wanted.set()  # after the watches are in place, or something falls between
            try:
                while True:
                    await self._hints.handle(await notifier.next())
            finally:
                self._notifier = None

    def _is_watched(self, folder: str, inode: int) -> bool:
        return self._notifier is None or self._notifier.watches(folder, inode)

    def _cover(self, folders: Mapping[str, int]) -> None:
        if self._notifier is not None:
            self._notifier.cover(folders)

    def _lost(self, error: Exception, pause: float) -> None:
        log.warning("watcher_rebuilt", root=self.path, error=str(error), pause_seconds=pause)
        if pause > 1 or isinstance(error, OSError):
            self.scanning, self.trouble = True, UNHEARD.format(error=str(error))
        self._wanted.set()

"""Watches one root, from its lock to its last listing: waits for it, and follows its remaking."""

from __future__ import annotations

import asyncio
import functools
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import structlog

from sidecar.core.account import Unmatched
from sidecar.core.clock import Clock
from sidecar.core.findings import Finding
from sidecar.homes import home_of
from sidecar.journal.stores.roots import Roots
from sidecar.journal.stores.stream_pieces import StreamPieces
from sidecar.journal.writer import AsyncJournal
from sidecar.obstacles import Obstacles
from sidecar.watch.complete.candidates import Candidates
from sidecar.watch.deletion.removals import RemovalDetector
from sidecar.watch.events.event_handler import EventHandler
from sidecar.watch.events.listener import Listener
from sidecar.watch.os.filesystem import Filesystems, ReadinessMethod, is_remote, kind_of
from sidecar.watch.os.worker_threads import WorkerThreads
from sidecar.watch.ownership.flock import Flock, acquire, device_and_inode
from sidecar.watch.ownership.root_lease import CLAIMING
from sidecar.watch.ownership.root_lock import RootLock, RootLocker
from sidecar.watch.scan.census import Census, Example
from sidecar.watch.scan.classify import Classifier, ListingBatch
from sidecar.watch.scan.ingest import Ingest
from sidecar.watch.scan.listing_costs import ListingPace, Unchanged
from sidecar.watch.scan.markers import Markers
from sidecar.watch.scan.playlist_ingest import PlaylistIngest
from sidecar.watch.scan.root_scan import Scanner, Walked

log = structlog.get_logger()
REPLACED_CHECK_SECONDS = 1.0  # how soon a root that was made, removed or made again is noticed
FIRST = "it is being looked at for the first time"
MISSING = "the folder does not exist"
LOCKED = "another sidecar watches this folder; waiting for it to end"


AwayKind = Literal["missing", "unreadable", "not ours"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RootAway:
    """A root of which nothing can be told: ``why`` is a sentence."""

    kind: AwayKind
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RootSettings:
    """What the configuration says of a root. ``path`` is absolute, as the router knows it.

    ``removal`` is what a file's absence means: keep | tombstone | delete. ``unmatched`` says which files that
    no rule takes count as unsent.
    """

    path: str
    events: str  # auto | inotify | scan
    settle_seconds: float
    rescan_seconds: float
    removal: str = "keep"
    unmatched: Unmatched = "misplaced"


class RootWatch:
    """A root's tasks and what is known of it. ``problem`` is a sentence while it is not watched."""

    def __init__(
        self,
        settings: RootSettings,
        *,
        classifier: Classifier,
        journal: AsyncJournal,
        clock: Clock,
        candidates: Candidates,
        volumes: Filesystems,
        threads: WorkerThreads,
        others_listed: Callable[[float], bool],
        locker: RootLocker,
        obstacles: Obstacles,
        new_since_ns: Callable[[], int],
        pace: ListingPace,
    ) -> None:
        """``others_listed`` tells whether every watched root was listed by a listing begun after a time.

        ``pace`` is all roots'. ``new_since_ns`` is the process's start, as the clock of files has it.
        """
        self.settings, self.path = settings, settings.path
        self.readiness = ReadinessMethod.SETTLE
        self.problem: str | None = FIRST
        self._away_kind: AwayKind = "not ours"
        self._root_lock: RootLock | None = None
        self._was_away = False
        self.last_scan_ms: int | None = None
        self._new_since_ns = new_since_ns
        self.census = self._empty_census()
        self._listing_census: Census | None = None  # of the listing under way
        self._unlistable: OSError | None = None
        self._unchanged, self._pace = Unchanged(), pace
        self.listed, self.seen = asyncio.Event(), asyncio.Event()  # once, or found missing; once
        self._clock, self._volumes, self._threads, self._candidates = clock, volumes, threads, candidates
        self._journal, self._locker, self._obstacles = journal, locker, obstacles
        self._scanner = functools.partial(
            Scanner,
            root=self.path,
            classifier=classifier,
            journal=journal,
            threads=threads,
            is_watched=self._is_watched,
        )
        self.markers = Markers(root=self.path, journal=journal, threads=threads)
        self.classifier = classifier
        self.streams = PlaylistIngest(
            root=self.path,
            journal=journal,
            threads=threads,
            candidates=candidates,
            playlists=classifier.playlists,
        )
        self._ingest = Ingest(
            root=self.path, journal=journal, candidates=candidates, markers=self.markers, streams=self.streams
        )
        self._handler = EventHandler(
            root=self.path,
            classifier=classifier,
            candidates=candidates,
            threads=threads,
            scanner=self._scanner(take=self._ingest_events),
            unfinished=self._ingest.unfinished,
            watch_folders=self._watch_folders,
            obstacles=obstacles,
            clock=clock,
        )
        self._removals = RemovalDetector(
            root=self.path,
            removal=settings.removal,
            between_seconds=settings.rescan_seconds,
            journal=journal,
            threads=threads,
            clock=clock,
            others_listed=others_listed,
        )
        self._listing_began = clock.monotonic()  # of the last one that is in the journal
        self._wanted, self._waiters = asyncio.Event(), list[asyncio.Future[None]]()
        self._listener = Listener(self.path, handler=self._handler, clock=clock, list_again=self._wanted.set)
        self._must_scan = settings.events == "scan"

    @property
    def scanning(self) -> bool:
        """Whether listings alone see changes."""
        return self._must_scan or self._listener.is_deaf

    @property
    def trouble(self) -> str | None:
        """Why it is watched less well than it was meant to be, as a sentence."""
        lease = self._root_lock.lease if self._root_lock else None
        return (lease and lease.trouble) or self._listener.trouble

    @property
    def away(self) -> RootAway | None:
        """Why nobody can tell what lies in it, None while somebody can."""
        if self.problem == FIRST:
            return None
        if self.problem is not None:
            return RootAway(kind=self._away_kind, why=self.problem)
        if self._unlistable is not None:
            return RootAway(kind="unreadable", why=f"the folder cannot be read: {self._unlistable.strerror}")
        return None

    @property
    def lock(self) -> str | None:
        """How others are kept out, None while it is not ours."""
        return self._root_lock.how if self._root_lock else None

    @property
    def is_ours(self) -> bool:
        """Whether nobody else may watch it at this moment."""
        return self._root_lock is not None and (self._root_lock.lease is None or self._root_lock.lease.holds)

    async def run(self) -> None:
        """Watch the root as often as it appears, for ever."""
        try:
            while True:
                await self._once()
                await asyncio.sleep(REPLACED_CHECK_SECONDS)
        finally:
            for waiter in self._waiters:
                waiter.cancel()

    async def scan(self) -> None:
        """Return when a full listing that began after this call is in the journal, or there is no root."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        self._wanted.set()
        if self.problem is not None and self.listed.is_set():
            self._set_away(self.problem, self._away_kind)
        await waiter

    def is_listed_since(self, at: float) -> bool:
        """Tell whether a full listing begun after ``at`` (monotonic) is journaled, or there is no root."""
        return self.problem is not None or self._listing_began > at

    def probe_later(self, path: str) -> None:
        """Look at a path once more, soon."""
        self._handler.look_again_later([path])

    # -- the life of one incarnation of the folder -------------------------------------------------

    async def _once(self) -> None:
        try:
            lock = await acquire(
                self.path, executor=self._threads.executor, waiting=lambda: self._wait_for(LOCKED)
            )
        except FileNotFoundError as error:
            await self._is_away(MISSING, "missing", error)
            return
        except OSError as error:
            await self._is_away(f"the folder cannot be opened: {error.strerror}", "unreadable", error)
            return
        try:
            await self._wait_until_ours(lock)
        except* OSError as errors:
            why = _first(errors)
            self._was_away = True
            self._obstacles.failed(self.path, why)
            self._set_away(f"the folder cannot be had: {why.strerror}", "unreadable", listed=False)
        finally:
            os.close(lock.fd)

    async def _wait_until_ours(self, lock: Flock) -> None:
        kind = await self._threads.do(lambda: kind_of(lock.fd))
        async with self._locker.locked(self.path, lock, kind, self._wait_for) as root_lock:
            self._root_lock = root_lock
            await self._journal.do(Roots.unblock_root, self.path)
            try:
                await self._watch(lock.fd, kind, root_lock)
            finally:
                self._root_lock = None
            await self._journal.do(Roots.block_roots, [self.path])

    async def _is_away(self, problem: str, kind: AwayKind, error: OSError) -> None:
        """Nobody can watch it: what is known of its files may go its way."""
        self._was_away = True
        self._obstacles.failed(self.path, error)
        await self._journal.do(Roots.unblock_root, self.path)
        self._set_away(problem, kind)

    async def _watch(self, fd: int, kind: str | None, root_lock: RootLock) -> None:
        found = await self._threads.do(lambda: os.fstat(fd))
        home = await self._threads.do(lambda: home_of(self.path, ""))
        self.classifier.playlists.streams.update(await self._journal.do(StreamPieces.playlists))
        self.readiness = await self._threads.do(lambda: self._volumes.measure(fd))
        events = self.settings.events
        self._must_scan = events == "scan" or (events == "auto" and is_remote(kind))
        if self.problem not in {None, FIRST} and self._away_kind == "not ours":
            log.info("root_is_ours", root=self.path)
        self.problem, self._unlistable = None, None
        if self._was_away:
            self._obstacles.over(self.path)
        self._was_away = False
        async with asyncio.TaskGroup() as group:
            handler = self._handler
            looks = handler.follow_up(), handler.follow_watches(), handler.retry.look_again()
            for_ever = self._list_for_ever(), *looks
            tasks = [group.create_task(task) for task in for_ever]
            if self._must_scan:
                self._wanted.set()
            else:
                tasks.append(group.create_task(self._listener.run()))
            if root_lock.lease is not None:
                tasks.append(group.create_task(root_lock.lease.keep()))
            await self._until_replaced((found.st_dev, found.st_ino))
            for task in tasks:
                task.cancel()
        self._pace.forget(self.path)
        await self._forget_removed_root(fd, home)
        log.warning("root_replaced", root=self.path)

    async def _forget_removed_root(self, fd: int, home: str | None) -> None:
        """Take in that the root was removed: its folder has no name any more, and took its files along."""
        if home is not None and await self._threads.do(lambda: os.fstat(fd).st_nlink) == 0:
            self._candidates.forget_home(self.path, home)
            await self._journal.do(Roots.move_home, self.path, home=home, to=None)

    async def _until_replaced(self, place: tuple[int, int]) -> None:
        while await self._threads.do(lambda: device_and_inode(self.path)) == place:  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(REPLACED_CHECK_SECONDS)

    def _wait_for(self, problem: str) -> None:
        """Say once that somebody else has the root, or may have: only people know whether that is meant."""
        if problem not in {self.problem, CLAIMING}:
            log.warning("root_waits", root=self.path, why=problem)
        self._set_away(problem, "not ours", listed=False)

    def _set_away(self, problem: str, kind: AwayKind, *, listed: bool = True) -> None:
        """Say why nothing is watched; whoever waits for a listing need not wait for a folder."""
        self.problem, self._away_kind = problem, kind
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
        census, began = self._empty_census(), self._clock.monotonic()
        self._listing_census = census
        try:
            places = await self._removals.begin()
            walked: Walked = await self._scanner(
                take=functools.partial(self._ingest.take, count=census.add), unchanged=self._unchanged
            ).scan(places)
            self._watch_folders(walked.unwatched)
            self._handler.retry.add(walked.unread)
            self._listing_began = began
            await self._removals.end(places)
        except BaseException:
            self._waiters += waiters
            raise
        finally:
            self._listing_census = None
        self._unlistable = walked.unread.get("")
        self.census, self.last_scan_ms = census, self._clock.wall_ms()
        self.listed.set()
        self.seen.set()
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
        return walked.spent_seconds

    def _rest(self, spent_seconds: float) -> float:
        rescan_seconds, scanning = self.settings.rescan_seconds, self.scanning
        return self._pace.rest_seconds(
            self.path, spent_seconds, rescan_seconds=rescan_seconds, scanning=scanning
        )

    async def _ingest_events(self, batch: ListingBatch) -> None:
        for path in (
            *batch.missing,
            *batch.spared,
        ):  # only full listings tell of absence; but a candidate may be looked at
            self._candidates.touch(self.path, path)
        batch.missing.clear()
        batch.spared.clear()
        await self._ingest.take(batch, self.count_newcomer)

    def count_newcomer(self, example: Example) -> None:
        """Count it in both: the listing under way has perhaps been there already."""
        if example.finding is not Finding.IGNORED:  # temporary names come and go
            self.census.add(example)
            if self._listing_census is not None:
                self._listing_census.add(example)

    def _empty_census(self) -> Census:
        return Census(unmatched=self.settings.unmatched, new_since_ns=self._new_since_ns())

    # -- events ------------------------------------------------------------------------------------

    def _is_watched(self, folder: str, inode: int) -> bool:
        return self._listener.is_watched(folder, inode)

    def _watch_folders(self, folders: Mapping[str, int]) -> None:
        self._listener.watch_folders(folders)


def _first(errors: BaseExceptionGroup[OSError]) -> OSError:
    """Return one of what failed at once."""
    error = errors.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error

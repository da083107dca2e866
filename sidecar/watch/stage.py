"""The watch stage: all roots, all candidates, and what others ask about them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from sidecar.core.account import NAMED_MAX, ClassRow, FileClass, FileScope, row_of
from sidecar.core.clock import Clock
from sidecar.core.findings import Finding
from sidecar.core.model import StatIdentity
from sidecar.core.paths import below
from sidecar.core.routing import Router
from sidecar.journal.writer import AsyncJournal
from sidecar.obstacles import Obstacles
from sidecar.watch.complete.candidates import Candidates
from sidecar.watch.complete.probe import ProbePolicy, ProbeRequest
from sidecar.watch.complete.schedule import Candidate
from sidecar.watch.os import write_lease
from sidecar.watch.os.filesystem import Filesystems, ReadinessMethod
from sidecar.watch.os.worker_threads import WorkerThreads
from sidecar.watch.ownership.fence import Fence
from sidecar.watch.ownership.root_lock import RootLocker
from sidecar.watch.scan.census import COUNTED, Example, Tally, UnsentGroup
from sidecar.watch.scan.classify import Classifier
from sidecar.watch.scan.ingest import BROKEN_MARKER
from sidecar.watch.scan.listing_costs import ListingPace
from sidecar.watch.scan.path_lookup import PathFinding, PathLookup
from sidecar.watch.scan.playlists import SEGMENT_BY_CONTENT, Playlists, Streams

from . import path_resolution
from .root import RootAway, RootSettings, RootWatch
from .started import StartTime
from .unsent import Unsent, UnsentReport

THREADS = 5  # two that look, two that read, and one for first looks: a disk that hangs may keep each
LOCATE_SECONDS = 5.0
OBSERVATIONS_MAX = 100  # of one transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class RootStatus:
    """One root, for people and for metrics.

    ``problem`` is a sentence while it is not watched, ``trouble`` while it is watched less well than meant.
    ``lock`` says how other sidecars are kept out, None while it is not ours. ``away`` is why nobody can tell
    what lies in it. ``counts`` are of what is not journaled; of ``known`` files among them the journal has an
    earlier version.
    """

    root: str
    readiness: str  # lease | settle
    events: str  # inotify | scan
    problem: str | None
    trouble: str | None
    lock: str | None
    away: RootAway | None
    counts: Mapping[FileClass, int]
    known: int
    examples: Sequence[Example]
    last_scan_ms: int | None


UNSURE = "it is not certain at this moment that no other sidecar watches its folder"


async def _no_limit() -> int:
    """There is always room."""
    return OBSERVATIONS_MAX


class WatchStage:
    """All roots and candidates.

    ``ready`` is set once every root was listed or found missing, ``seen`` once all were listed.
    """

    def __init__(
        self,
        *,
        roots: Sequence[RootSettings],
        router: Router,
        journal: AsyncJournal,
        clock: Clock,
        abandon_after_seconds: float,
        sidecar_id: str,
        fence: Fence,
        room: Callable[[], Awaitable[int]] = _no_limit,
        obstacles: Obstacles | None = None,
        start_time: StartTime | None = None,
        part_bytes: int | None = None,
    ) -> None:
        """Build it on the event loop of the main thread: SIGIO is ignored from here on.

        ``fence`` learns which roots are held in a way that may lapse. ``room`` waits until the journal may
        take in more files, and returns how many at once. ``obstacles`` are shared with whoever else reads
        files. ``start_time`` tells what changed since the process started. Files of ``part_bytes`` or more
        are sent in such parts.
        """
        start_time = start_time or StartTime(clock)
        self.obstacles = obstacles = obstacles or Obstacles(clock)
        write_lease.prepare()
        self.ready, self.seen = asyncio.Event(), asyncio.Event()
        self._abandon_after_seconds = abandon_after_seconds
        self._threads, volumes = WorkerThreads(THREADS), Filesystems()
        self._candidates = Candidates(
            journal=journal,
            clock=clock,
            threads=self._threads,
            volumes=volumes,
            policy=self._policy_of,
            on_missed_event=lambda root, path: self._roots[root].probe_later(path),
            room=room,
            obstacles=obstacles,
            withhold_reason=self._withhold_reason,
            on_withheld=self._count_withheld,
            part_bytes=part_bytes,
        )
        known_streams: Streams = {}
        pace = ListingPace()
        self._roots = {
            settings.path: RootWatch(
                settings,
                classifier=Classifier(
                    root=settings.path,
                    router=router,
                    playlists=Playlists(settings.path, router, known_streams),
                ),
                journal=journal,
                clock=clock,
                candidates=self._candidates,
                volumes=volumes,
                threads=self._threads,
                others_listed=lambda at: all(root.is_listed_since(at) for root in self._roots.values()),
                locker=RootLocker(sidecar_id=sidecar_id, clock=clock, fence=fence),
                obstacles=obstacles,
                new_since_ns=start_time.new_since_ns,
                pace=pace,
            )
            for settings in roots
        }
        classifiers = {path: root.classifier for path, root in self._roots.items()}
        self._lookup = PathLookup(
            classifiers=classifiers, router=router, journal=journal, threads=self._threads
        )
        self._unsent = UnsentReport(roots=self._roots, candidates=self._candidates, router=router)
        self.with_reason = self._unsent.with_reason

    async def run(self) -> None:
        """Notice, for ever."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._candidates.run())
                for root in self._roots.values():
                    group.create_task(root.run())
                for root in self._roots.values():
                    await root.listed.wait()
                self.ready.set()
                for root in self._roots.values():
                    await root.seen.wait()
                self.seen.set()
        finally:
            self._threads.close()

    async def scan_now(self) -> None:
        """Return when a full listing that began after this call is journaled and each candidate looked at."""
        await asyncio.gather(*(root.scan() for root in self._roots.values()))
        await asyncio.gather(*(self._candidates.probe_all_again(root) for root in self._roots))

    def pending(self) -> Sequence[Candidate]:
        """Return all candidates: what is settling, incomplete, or refused since it cannot be read."""
        return self._candidates.pending()

    def unsent(self, scope: FileScope) -> Unsent:
        """Return what counts as unsent within a scope, exactly; it is as old as the last listing."""
        return self._unsent.unsent(scope)

    def needed_playlists(self) -> Collection[tuple[str, str]] | None:
        """Return the streams of which files were seen on the disk; None unless all of it was and can be."""
        roots = self._roots.values()
        if not all(root.seen.is_set() and root.away is None for root in roots):
            return None
        return set[tuple[str, str]]().union(*(root.classifier.playlists.needed for root in roots))

    def forget_playlists(self, streams: Iterable[tuple[str, str]]) -> None:
        """Hold nothing more because of what was there once."""
        for stream in streams:
            for root in self._roots.values():
                root.classifier.playlists.streams.pop(stream, None)

    def roots(self) -> list[str]:
        """Return the watched roots, in the order of the settings."""
        return list(self._roots)

    def away(self) -> Mapping[str, RootAway]:
        """Return the roots of which nothing can be told now, and why, in the order of the settings."""
        return {path: away for path, root in self._roots.items() if (away := root.away) is not None}

    def unsent_mark(self) -> object:
        """Return what differs whenever something else is unsent; cheap."""
        unreadable = sum(one.refused for one in self._candidates.all())
        return (unreadable, *((id(root.census), root.census.size) for root in self._roots.values()))

    def places(self, root: str) -> Iterator[tuple[UnsentGroup, Tally]]:
        """Yield what counts as unsent in a root, by folder, extension and class."""
        return self._unsent.places(root, FileScope())

    def row(self, root: str, file_class: FileClass) -> ClassRow:
        """Return the account's row that counts for a class in a root, by its settings."""
        return row_of(file_class, self._roots[root].settings.unmatched)

    def status(self) -> Sequence[RootStatus]:
        """Return one entry per root, in the order of the settings."""
        return [self._status_of(root) for root in self._roots.values()]

    async def locate(self, path: str) -> tuple[str, str] | None:
        """Return (root, path below it) of an absolute path, through links and mounts; None if outside.

        A disk that does not answer leaves it to the text.
        """
        roots = list(self._roots)
        try:
            async with asyncio.timeout(LOCATE_SECONDS):
                return await self._threads.do(lambda: path_resolution.locate(path, roots))
        except TimeoutError:
            return below(path, roots)

    async def explain(self, root: str, path: str) -> PathFinding:
        """Look at ``path`` below ``root`` now, without opening it."""
        if root not in self._roots:
            return PathFinding(finding=Finding.MISSING, why=f"{root} is not a watched folder")
        candidate = self._candidates.find(root, path)
        if candidate is not None:
            is_refused = candidate.file_class is FileClass.REFUSED
            finding = Finding.REFUSED if is_refused else Finding.WAITING
            return PathFinding(finding=finding, why=candidate.why, file_class=candidate.file_class)
        if self._roots[root].markers.is_broken(path):
            return PathFinding(finding=Finding.REFUSED, why=BROKEN_MARKER, file_class=FileClass.REFUSED)
        found = await self._lookup.look_up(root, path)
        if found.finding is Finding.MATCHED and not self.is_ours(root):
            why = self._roots[root].problem or UNSURE
            return PathFinding(finding=Finding.HELD, why=why, file_class=FileClass.HELD)
        return found

    async def playlist_near(self, root: str, folder: str, entity_folder: str | None) -> str | None:
        """Look once more for a playlist, in an entity's folder or in that of its files."""
        if root not in self._roots:
            return None
        playlists = self._roots[root].classifier.playlists
        return await self._threads.do(lambda: playlists.near(folder, entity_folder))

    def probe_later(self, root: str, path: str) -> None:
        """Look at a path once more, soon."""
        if root in self._roots:
            self._roots[root].probe_later(path)

    def is_ours(self, root: str) -> bool:
        """Tell whether nobody else may watch a root at this moment."""
        return root in self._roots and self._roots[root].is_ours

    def _policy_of(self, path: str) -> ProbePolicy | None:
        if (root := self._roots.get(path)) is None:
            return None
        return ProbePolicy(
            settle_seconds=root.settings.settle_seconds,
            scanning=root.scanning,
            abandon_after_seconds=self._abandon_after_seconds,
            has_leases=root.readiness is ReadinessMethod.LEASE,
        )

    def _withhold_reason(self, request: ProbeRequest, identity: StatIdentity) -> str | None:
        """Tell why a complete video is held by now."""
        if request.claim is None:
            return None
        playlists = self._roots[request.root].classifier.playlists
        claimed_by = playlists.claim_on(request.path, request.claim, identity)
        return None if claimed_by is None else claimed_by.why

    def _count_withheld(
        self, root: str, path: str, identity: StatIdentity, why: str | None, *, is_known: bool
    ) -> None:
        """Count a candidate that is held; without a reason its content told, and its scene has a playlist."""
        watched = self._roots[root]
        if why is None:
            watched.classifier.playlists.is_piece(path, identity)
            why = SEGMENT_BY_CONTENT.format(playlist="a playlist of its scene")
        watched.count_newcomer(
            Example(path=path, finding=Finding.HELD, why=why, changed_ns=identity.ctime_ns, known=is_known)
        )

    def _status_of(self, root: RootWatch) -> RootStatus:
        stuck = self._unsent.unreadable(root.path)
        counts = {FileClass(finding): root.census.count(finding) for finding in COUNTED}
        counts[FileClass.REFUSED] += len(stuck)
        return RootStatus(
            root=root.path,
            readiness=str(root.readiness),
            events="scan" if root.scanning else "inotify",
            problem=root.problem,
            trouble=root.trouble,
            lock=root.lock,
            away=root.away,
            counts=counts,
            known=root.census.known,
            examples=self._unsent.with_reasons([*stuck[:NAMED_MAX], *root.census.examples()]),
            last_scan_ms=root.last_scan_ms,
        )


def absolute(root: str) -> str:
    """Return a root's path as everybody names it: absolute, without . and .., symbolic links kept."""
    return os.path.abspath(root)  # noqa: PTH100 - resolve() would follow links

"""The watch stage: all roots, all candidates, and what others ask about them."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import assert_never

from sidecar.core.clock import Clock
from sidecar.core.model import Route, StatIdentity
from sidecar.core.paths import below
from sidecar.core.routing import Held, Ignored, Marker, Router, Unmatched
from sidecar.files import kind_of
from sidecar.journal.writer import AsyncJournal
from sidecar.obstacles import Obstacles

from . import lease, whereabouts
from .candidates import Candidates
from .census import Example, Finding
from .fence import Fence
from .hands import Hands
from .holding import Keeper
from .listing import is_utf8, look_at
from .playlists import SEGMENT_BY_CONTENT, Playlists, Streams
from .probe import Habits, Subject
from .root import RootSettings, RootWatch
from .sorting import Sorter
from .volume import OWN_PREFIX, Volumes
from .waitlist import Candidate

THREADS = 4
LOCATE_SECONDS = 5.0
OBSERVATIONS_MAX = 100  # of one transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class RootStatus:
    """One root, for people and for metrics.

    ``problem`` is a sentence while it is not watched, ``trouble`` while it is watched less well than meant.
    ``lock`` says how other sidecars are kept out, None while it is not ours.
    """

    root: str
    readiness: str  # lease | settle
    events: str  # inotify | scan
    problem: str | None
    trouble: str | None
    lock: str | None
    unmatched: int
    refused: int
    held: int
    examples: Sequence[Example]
    last_scan_ms: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PathFinding:
    """What a path is now; ``why`` is one sentence, ``rule`` the pattern that decided, where one did."""

    finding: Finding
    why: str
    rule: str | None = None


UNSURE = "it is not certain at this moment that no other sidecar watches its folder"
_MISSING = PathFinding(finding=Finding.MISSING, why="there is nothing at this path")


async def _plenty() -> int:
    """There is always room."""
    return OBSERVATIONS_MAX


class WatchStage:
    """NOTICE. ``ready`` is set once every root was listed or found missing, ``seen`` once all were listed."""

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
        room: Callable[[], Awaitable[int]] = _plenty,
        obstacles: Obstacles | None = None,
    ) -> None:
        """Build it on the event loop of the main thread: SIGIO is ignored from here on.

        ``fence`` learns which roots are held in a way that may lapse. ``room`` waits until the journal may
        take in more files, and returns how many at once. ``obstacles`` are shared with whoever else reads
        files.
        """
        self.obstacles = obstacles = obstacles or Obstacles(clock)
        lease.prepare()
        self.ready, self.seen = asyncio.Event(), asyncio.Event()
        self._abandon_after_seconds = abandon_after_seconds
        self._hands, volumes = Hands(THREADS), Volumes()
        self._candidates = Candidates(
            journal=journal,
            clock=clock,
            hands=self._hands,
            volumes=volumes,
            habits=self._habits,
            missed=lambda root, path: self._roots[root].look_later(path),
            room=room,
            obstacles=obstacles,
            held=self._held,
            withheld=self._withheld,
        )
        known_streams: Streams = {}
        self._roots = {
            settings.path: RootWatch(
                settings,
                sorter=Sorter(
                    root=settings.path,
                    router=router,
                    playlists=Playlists(settings.path, router, known_streams),
                ),
                journal=journal,
                clock=clock,
                candidates=self._candidates,
                volumes=volumes,
                hands=self._hands,
                others_listed=lambda at: all(root.is_listed_since(at) for root in self._roots.values()),
                keeper=Keeper(sidecar_id=sidecar_id, clock=clock, fence=fence),
                obstacles=obstacles,
            )
            for settings in roots
        }

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
            self._hands.close()

    async def scan_now(self) -> None:
        """Return when a full listing that began after this call is journaled and each candidate looked at."""
        await asyncio.gather(*(root.scan() for root in self._roots.values()))
        await asyncio.gather(*(self._candidates.looked(root) for root in self._roots))

    def pending(self) -> Sequence[Candidate]:
        """Return the files that are settling, open for writing or incomplete; not those that are refused."""
        return [candidate for candidate in self._candidates.all() if not candidate.refused]

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
                return await self._hands.do(lambda: whereabouts.find(path, roots))
        except TimeoutError:
            return below(path, roots)

    async def explain(self, root: str, path: str) -> PathFinding:
        """Look at ``path`` below ``root`` now, without opening it."""
        if root not in self._roots:
            return PathFinding(finding=Finding.MISSING, why=f"{root} is not a watched folder")
        candidate = self._candidates.find(root, path)
        if candidate is not None:
            finding = Finding.REFUSED if candidate.refused else Finding.WAITING
            return PathFinding(finding=finding, why=candidate.why)
        if (shown := self._shown(root, path)) is not None:
            return shown
        found = await self._hands.do(lambda: self._find(root, path))
        if found.finding is Finding.MATCHED and not self.is_ours(root):
            return PathFinding(finding=Finding.HELD, why=self._roots[root].problem or UNSURE)
        return found

    async def playlist_near(self, root: str, folder: str, entity_folder: str | None) -> str | None:
        """Look once more for a playlist, in an entity's folder or in that of its files."""
        if root not in self._roots:
            return None
        playlists = self._roots[root].sorter.playlists
        return await self._hands.do(lambda: playlists.near(folder, entity_folder))

    def look_later(self, root: str, path: str) -> None:
        """Look at a path once more, soon."""
        if root in self._roots:
            self._roots[root].look_later(path)

    def is_ours(self, root: str) -> bool:
        """Tell whether nobody else may watch a root at this moment."""
        return root in self._roots and self._roots[root].is_ours

    def _habits(self, path: str) -> Habits | None:
        if (root := self._roots.get(path)) is None:
            return None
        return Habits(
            settle_seconds=root.settings.settle_seconds,
            scanning=root.scanning,
            abandon_after_seconds=self._abandon_after_seconds,
        )

    def _held(self, subject: Subject, identity: StatIdentity) -> str | None:
        """Tell why a complete video is held by now."""
        if subject.claim is None:
            return None
        playlists = self._roots[subject.root].sorter.playlists
        holding = playlists.holding(subject.path, subject.claim, identity)
        return None if holding is None else holding.why

    def _withheld(self, root: str, path: str, identity: StatIdentity, why: str | None) -> None:
        """A candidate is held; without a reason its content told, and its scene has a playlist."""
        watched = self._roots[root]
        if why is None:
            watched.sorter.playlists.is_piece(path, identity)
            why = SEGMENT_BY_CONTENT.format(playlist="a playlist of its scene")
        watched.census.add(Example(path=path, finding=Finding.HELD, why=why))

    def _status_of(self, root: RootWatch) -> RootStatus:
        stuck = [c for c in self._candidates.all() if c.refused and c.root == root.path]
        stuck_examples = [Example(path=c.path, finding=Finding.REFUSED, why=c.why) for c in stuck[:20]]
        return RootStatus(
            root=root.path,
            readiness=str(root.readiness),
            events="scan" if root.scanning else "inotify",
            problem=root.problem,
            trouble=root.trouble,
            lock=root.lock,
            unmatched=root.census.count(Finding.UNMATCHED),
            refused=root.census.count(Finding.REFUSED) + len(stuck),
            held=root.census.count(Finding.HELD),
            examples=[*stuck_examples, *root.census.examples()],
            last_scan_ms=root.last_scan_ms,
        )

    def _shown(self, root: str, path: str) -> PathFinding | None:
        """Only the journal knew of some refusals: a slot that is taken."""
        for example in self._roots[root].census.examples():
            if example.path == path and example.finding is Finding.REFUSED:
                return PathFinding(finding=example.finding, why=example.why)
        return None

    def _find(self, root: str, path: str) -> PathFinding:
        if not is_utf8(path):
            return PathFinding(finding=Finding.REFUSED, why="the name is not UTF-8")
        found = look_at(root, path) if _is_below(path) else None
        if found is None:
            return _unseen(root, path) if _is_below(path) else _MISSING
        if (link := _link_on_the_way(root, path)) is not None:
            return PathFinding(finding=Finding.REFUSED, why=f"{link} is a symbolic link; none is followed")
        if stat.S_ISDIR(found.st_mode):
            return PathFinding(finding=Finding.FOLDER, why="it is a folder")
        if not stat.S_ISREG(found.st_mode):
            return PathFinding(finding=Finding.REFUSED, why=f"{kind_of(found.st_mode)} is never sent")
        return self._routed(root, path)

    def _routed(self, root: str, path: str) -> PathFinding:
        if path.rpartition("/")[2].startswith(OWN_PREFIX):
            return PathFinding(finding=Finding.IGNORED, why="the name is one of the sidecar's own")
        match self._roots[root].sorter.route(path, look_at(root, path)):
            case Route():
                return PathFinding(finding=Finding.MATCHED, why="a rule takes it; the journal knows the rest")
            case Unmatched(reason=reason):
                return PathFinding(finding=Finding.UNMATCHED, why=reason)
            case Ignored(pattern=pattern):
                return PathFinding(finding=Finding.IGNORED, why=f"{pattern} is ignored", rule=pattern)
            case Held(reason=reason):
                return PathFinding(finding=Finding.HELD, why=reason)
            case Marker(kind=kind):
                return PathFinding(
                    finding=Finding.MATCHED, why=f"it marks its scene as {kind}; it is not sent"
                )
            case never:
                assert_never(never)


def _unseen(root: str, path: str) -> PathFinding:
    """Tell a path that nothing is at from one that we may not see."""
    try:
        os.lstat(os.path.join(root, path))  # noqa: PTH118 - surrogate escapes
    except (FileNotFoundError, NotADirectoryError):
        return _MISSING
    except OSError as error:
        return PathFinding(finding=Finding.REFUSED, why=f"it cannot be seen: {error.strerror}")
    return _MISSING


def _is_below(path: str) -> bool:
    """Whether it is the root itself ("") or something in it."""
    return not path or not any(part in {"", ".", ".."} for part in path.split("/"))


def _link_on_the_way(root: str, path: str) -> str | None:
    parts = path.split("/")
    for count in range(1, len(parts)):
        folder = "/".join(parts[:count])
        found = look_at(root, folder)
        if found is not None and stat.S_ISLNK(found.st_mode):
            return folder
    return None


def absolute(root: str) -> str:
    """Return a root's path as everybody names it: absolute, without . and .., symbolic links kept."""
    return os.path.abspath(root)  # noqa: PTH100 - resolve() would follow links

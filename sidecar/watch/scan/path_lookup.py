"""Says what one path is now, without reading it: the finding that `explain` shows, and its class."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import assert_never

from sidecar.core.account import FileClass
from sidecar.core.findings import Finding
from sidecar.core.model import Observation, Route
from sidecar.core.routing import Ignored, Marker, Misplaced, Refused, Router, Unmatched, Withheld
from sidecar.files import NotRegularError, identity_of, open_folder
from sidecar.journal.stores.files import Files
from sidecar.journal.writer import AsyncJournal
from sidecar.watch.os.filesystem import OWN_PREFIX
from sidecar.watch.os.worker_threads import WorkerThreads

from .census import COUNTED
from .classify import Classifier, NotSent
from .listing import SpecialEntry, lstat_below, odd_of, unread_folder


@dataclass(frozen=True, slots=True, kw_only=True)
class PathFinding:
    """What a path is now; ``why`` is one sentence, ``rule`` the pattern that decided, where one did.

    ``file_class`` is the class that the finding means, None where the journal knows more. ``as_it_was``: the
    file looks as it did when the journal handled it, so that its newest transfer says what it is.
    """

    finding: Finding
    why: str
    rule: str | None = None
    file_class: FileClass | None = None
    as_it_was: bool = False


MISSING = PathFinding(finding=Finding.MISSING, why="there is nothing at this path")
FOLDER = PathFinding(finding=Finding.FOLDER, why="it is a folder")
_MATCHED = "a rule takes it; the journal knows the rest"


@dataclass(frozen=True, slots=True, kw_only=True)
class PathLookup:
    """Looks at single paths of all roots."""

    classifiers: Mapping[str, Classifier]
    router: Router
    journal: AsyncJournal
    threads: WorkerThreads

    async def look_up(self, root: str, path: str) -> PathFinding:
        """Say what is at a path below a root, and whether the journal would take it."""
        seen, route, status = await self.threads.do(partial(self._find, root, path))
        if status is not None:
            seen = await self._beside_the_journal(root, path, seen, route, status)
        if seen.finding in COUNTED:
            return replace(seen, file_class=FileClass(seen.finding))
        return seen

    async def _beside_the_journal(
        self, root: str, path: str, seen: PathFinding, route: Route | None, status: os.stat_result
    ) -> PathFinding:
        known = await self.journal.do(Files.known_file, root, path)
        if known is not None and known.is_like(status):
            return replace(seen, as_it_was=True)
        if route is None:
            return seen
        observation = Observation(root=root, path=path, identity=identity_of(status), route=route)
        refused = await self.journal.do(Files.refusal, observation)
        return PathFinding(finding=Finding.REFUSED, why=refused) if refused else seen

    def _find(self, root: str, path: str) -> tuple[PathFinding, Route | None, os.stat_result | None]:
        """Return the finding, the route of what a rule takes, and the stat of a regular file."""
        found = lstat_below(root, path) if _is_below(path) else None
        if found is None:
            return (_unseen(root, path) if _is_below(path) else MISSING), None, None
        if (special := self._special(root, path, found)) is not None:
            return special, None, None
        match self.classifiers[root].route(path, found):
            case Route() as route:
                return PathFinding(finding=Finding.MATCHED, why=_MATCHED), route, found
            case Withheld(reason=reason):
                return PathFinding(finding=Finding.HELD, why=reason), None, found
            case Marker(kind=kind):
                why = f"it marks its scene as {kind}; it is not sent"
                return PathFinding(finding=Finding.MATCHED, why=why, file_class=FileClass.IGNORED), None, None
            case routing:
                return self._not_sent(path, routing), None, found

    def _not_sent(self, path: str, routing: NotSent) -> PathFinding:
        match routing:
            case Unmatched(reason=reason):
                return PathFinding(finding=Finding.UNMATCHED, why=reason)
            case Misplaced(reason=reason):
                return PathFinding(finding=Finding.MISPLACED, why=reason or self.router.nearest(path))
            case Refused(reason=reason):
                return PathFinding(finding=Finding.REFUSED, why=reason)
            case Ignored(pattern=pattern):
                return PathFinding(finding=Finding.IGNORED, why=f"{pattern} is ignored", rule=pattern)
            case never:
                assert_never(never)

    def _special(self, root: str, path: str, found: os.stat_result) -> PathFinding | None:
        """Return what is to be said of anything but a regular file with a name that is text."""
        name = path.rpartition("/")[2]
        if (link := _link_on_the_way(root, path)) is not None:
            return PathFinding(finding=Finding.REFUSED, why=f"{link} is a symbolic link; none is followed")
        if stat.S_ISDIR(found.st_mode):
            special = odd_of(path, found) or _unread(root, path)
            return FOLDER if special is None else self._not_sent(path, self.classifiers[root].odd(special))
        if name.startswith(OWN_PREFIX):
            return PathFinding(finding=Finding.IGNORED, why="the name is one of the sidecar's own")
        special = odd_of(path, found)
        return None if special is None else self._not_sent(path, self.classifiers[root].odd(special))


def _unread(root: str, path: str) -> SpecialEntry | None:
    """Return what a folder is that cannot be read; the root itself is away then, and no file."""
    if not path:
        return None
    try:
        os.close(open_folder(root, path))
    except (FileNotFoundError, NotRegularError):
        return None
    except OSError as error:
        return unread_folder(path, error)
    return None


def _unseen(root: str, path: str) -> PathFinding:
    """Tell a path that nothing is at from one that we may not see."""
    try:
        os.lstat(os.path.join(root, path))  # noqa: PTH118 - surrogate escapes
    except (FileNotFoundError, NotADirectoryError):
        return MISSING
    except OSError as error:
        return PathFinding(finding=Finding.REFUSED, why=f"it cannot be seen: {error.strerror}")
    return MISSING


def _is_below(path: str) -> bool:
    """Whether it is the root itself ("") or something in it."""
    return not path or not any(segment in {"", ".", ".."} for segment in path.split("/"))


def _link_on_the_way(root: str, path: str) -> str | None:
    segments = path.split("/")
    for count in range(1, len(segments)):
        folder = "/".join(segments[:count])
        found = lstat_below(root, folder)
        if found is not None and stat.S_ISLNK(found.st_mode):
            return folder
    return None

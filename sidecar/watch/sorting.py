"""Sort what a listing or an event showed: files to observe, findings to count, markers, absences.

Blocking only where a playlist beside a segment has to be looked for; runs in worker threads.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import assert_never

from sidecar.core.media import is_playlist
from sidecar.core.model import Observation, Route
from sidecar.core.routing import Held, Ignored, Marker, Misplaced, Refused, Router, Unmatched
from sidecar.files import identity_of
from sidecar.journal.journal import Known

from .census import Example, Finding
from .listing import Listing, Odd, join

HAUL_MAX = 4_000  # each with its route: some 2 KB


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkerSeen:
    """A `.complete` or `.cancelled` file."""

    path: str
    marker: Marker
    mtime_ns: int


@dataclass(slots=True, kw_only=True)
class Haul:
    """What one batch of listings or events brings. ``spared`` is missing, too, and no removal.

    ``homes`` tells of each folder that misses something where what lies in it is at home.
    """

    observations: list[Observation] = field(default_factory=list)
    examples: list[Example] = field(default_factory=list)
    markers: list[MarkerSeen] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    spared: list[str] = field(default_factory=list)
    homes: dict[str, str | None] = field(default_factory=dict)

    def drain(self) -> Haul:
        """Return what is in it; it goes on empty."""
        full = replace(self)
        self.observations, self.examples, self.markers, self.missing, self.spared = [], [], [], [], []
        self.homes = {}
        return full


def sort_listing(
    router: Router, root: str, listing: Listing, known: Mapping[str, Known], haul: Haul
) -> Iterator[Haul]:
    """Compare a folder with what the journal remembers of it; unchanged files cost nothing more.

    Yields what is in ``haul`` whenever that is a lot: a folder may hold any number of new files.
    """
    beside = _beside_in(listing)
    for name, found in listing.files.items():
        remembered = known.get(name)
        if remembered is None or not remembered.is_like(found):
            path = join(listing.folder, name)
            is_known = remembered is not None and remembered.identity is not None
            sort_file(router, root, path, found, beside, haul, home=listing.home, is_known=is_known)
        if len(haul.observations) + len(haul.examples) >= HAUL_MAX:
            yield haul.drain()
    for odd in listing.odd:
        sort_odd(router, root, odd, haul)
    if listing.whole and (missing := known.keys() - listing.files.keys()):
        others = listing.others()
        haul.homes[listing.folder] = listing.home
        for name in missing:
            is_clear = listing.clear and name not in others
            (haul.missing if is_clear else haul.spared).append(join(listing.folder, name))


def sort_file(
    router: Router,
    root: str,
    path: str,
    found: os.stat_result,
    beside_playlist: Callable[[], bool],
    haul: Haul,
    *,
    home: str | None = None,
    is_known: bool = False,
) -> None:
    """Route one regular file; ``home`` is where it is at home. ``is_known``: earlier content was handled."""

    def example(finding: Finding, why: str | None) -> None:
        shown = Example(
            path=path, finding=finding, why=why or "", changed_ns=found.st_ctime_ns, known=is_known
        )
        haul.examples.append(shown)

    match router.route(root, path, beside_playlist=beside_playlist):
        case Route() as route:
            seen = Observation(root=root, path=path, identity=identity_of(found), route=route, home=home)
            haul.observations.append(seen)
        case Marker() as marker:
            haul.markers.append(MarkerSeen(path=path, marker=marker, mtime_ns=found.st_mtime_ns))
        case Unmatched(reason=reason):
            example(Finding.UNMATCHED, reason)
        case Misplaced(reason=why):
            example(Finding.MISPLACED, why)
        case Refused(reason=reason):
            example(Finding.REFUSED, reason)
        case Held(reason=reason):
            example(Finding.HELD, reason)
        case Ignored():
            example(Finding.IGNORED, None)
        case never:
            assert_never(never)


def sort_odd(router: Router, root: str, odd: Odd, haul: Haul) -> None:
    """Take in what is no regular file, or cannot be seen: refused, unless nobody is to look at it.

    A root that cannot be read is no file: it is away.
    """
    if odd.path != ".":
        finding = Finding.REFUSED if router.ignored(root, odd.path) is None else Finding.IGNORED
        haul.examples.append(Example(path=odd.path, finding=finding, why=odd.reason, inside=odd.inside))


def playlist_beside(root: str, path: str) -> Callable[[], bool]:
    """Return a question that lists the folder of ``path`` only if it is asked."""

    def ask() -> bool:
        folder = os.path.join(root, os.path.dirname(path))  # noqa: PTH118, PTH120 - surrogate escapes
        try:
            return any(map(is_playlist, os.listdir(folder)))  # noqa: PTH208 - the same
        except OSError:
            return False

    return ask


def _beside_in(listing: Listing) -> Callable[[], bool]:
    return functools.cache(lambda: any(map(is_playlist, listing.files)))

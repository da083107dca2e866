"""Sorts what a listing or an event showed: files to observe, findings to count, markers, absences.

Blocking only where playlists that may name a video have to be looked for; runs in worker threads.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from typing import assert_never

from sidecar.core.findings import Finding
from sidecar.core.media import is_playlist
from sidecar.core.model import Observation, Route, StatIdentity
from sidecar.core.routing import Ignored, Marker, Misplaced, Refused, Router, Routing, Unmatched, Withheld
from sidecar.files import identity_of
from sidecar.journal.stores.known import IdentityRow, Known
from sidecar.watch.os.links import Follower

from .census import Example
from .listing import Listing, SpecialEntry, join
from .playlists import Playlists

NotSent = Ignored | Misplaced | Refused | Unmatched
BATCH_ENTRIES_MAX = 4_000  # each with its route: some 2 KB


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkerSeen:
    """A `.complete` or `.cancelled` file."""

    path: str
    marker: Marker
    mtime_ns: int


@dataclass(slots=True, kw_only=True)
class ListingBatch:
    """What one batch of listings or events brings. ``spared`` is missing, too, and no removal.

    ``withheld`` are files that are held now and were not before, each with its reason. ``homes`` tells of
    each folder that misses something where what lies in it is at home.
    """

    observations: list[Observation] = field(default_factory=list)
    examples: list[Example] = field(default_factory=list)
    markers: list[MarkerSeen] = field(default_factory=list)
    playlists: set[str] = field(default_factory=set)
    withheld: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    spared: list[str] = field(default_factory=list)
    homes: dict[str, str | None] = field(default_factory=dict)

    def drain(self) -> ListingBatch:
        """Return what is in it; it goes on empty."""
        full = replace(self)
        self.observations, self.examples, self.markers, self.missing, self.spared = [], [], [], [], []
        self.playlists, self.withheld, self.homes = set(), {}, {}
        return full


@dataclass(frozen=True, slots=True, kw_only=True)
class Classifier:
    """The rules of one root, and the playlists that lie there."""

    root: str
    router: Router
    playlists: Playlists
    links: Follower = field(default_factory=Follower)

    def route(self, path: str, found: os.stat_result | None) -> Routing:
        """Say what a file means now, among the playlists that there are; ``found`` is its stat."""
        return self.routed(path, None if found is None else identity_of(found))[0]

    def routed(self, path: str, identity: StatIdentity | None) -> tuple[Routing, str | None]:
        """Do the same; the playlist that holds it comes with that."""
        routing = self.router.route(self.root, path)
        claim = routing.claim if isinstance(routing, Route) else None
        if claim is None:
            return routing, None
        claimed_by = self.playlists.claim_on(path, claim, identity)
        return (
            (routing, None) if claimed_by is None else (Withheld(reason=claimed_by.why), claimed_by.playlist)
        )

    def odd(self, special: SpecialEntry) -> NotSent:
        """Say what a link, a pipe or a strange name means: what a file there would if no rule takes it.

        Else it is refused. So is what may be a folder: a rule may want what lies in it.
        """
        if (ignored := self.router.ignored(self.root, special.path)) is not None:
            return Ignored(pattern=ignored.source)
        routing = self.router.route(self.root, special.path)
        if isinstance(routing, Unmatched | Misplaced | Ignored) and not self._may_be_folder(special):
            return routing
        return Refused(reason=special.reason)

    def _may_be_folder(self, special: SpecialEntry) -> bool:
        return special.inside and not (
            special.is_link and not self.links.may_be_folder(os.path.join(self.root, special.path))  # noqa: PTH118 - text
        )


def classify_listing(
    classifier: Classifier, listing: Listing, known: set[IdentityRow], batch: ListingBatch
) -> Generator[ListingBatch, None, bool]:
    """Compare a folder with what the journal remembers of it; unchanged files cost nothing more.

    Yields what is in ``batch`` whenever that is a lot: a folder may hold any number of new files. Returns
    whether the two are the same.
    """
    fresh = [row for row in listing.files.values() if row not in known]
    has_others = len(known) > len(listing.files) - len(fresh)
    others = (
        {row[0]: Known._make(row) for row in known.difference(listing.files.values())} if has_others else {}
    )
    if fresh:
        classifier.playlists.listed(listing)
    for row in fresh:
        name, seen = row[0], Known._make(row).identity
        assert seen is not None  # noqa: S101 - it was made of a stat
        classify_file(
            classifier,
            join(listing.folder, name),
            seen,
            batch,
            home=listing.home,
            is_known=name in others and others[name].identity is not None,
            may_be_journaled=name in others,
        )
        if len(batch.observations) + len(batch.examples) >= BATCH_ENTRIES_MAX:
            yield batch.drain()
    classify_specials(classifier, listing, batch)
    if listing.whole and (missing := others.keys() - listing.files.keys()):
        _miss(listing, missing, batch)
    return not fresh and not has_others


def _miss(listing: Listing, missing: set[str], batch: ListingBatch) -> None:
    """Take in the names that a folder lacks; what has another kind now is spared."""
    kinds = listing.others()
    batch.homes[listing.folder] = listing.home
    for name in missing:
        is_clear = listing.clear and name not in kinds
        (batch.missing if is_clear else batch.spared).append(join(listing.folder, name))


def classify_absent(root: str, listing: Listing, names: Sequence[str]) -> ListingBatch:
    """Look once more for files that the journal knows in a folder that was listed in pieces."""
    batch = ListingBatch(homes={listing.folder: listing.home})
    for name in names:
        path = join(listing.folder, name)
        try:
            found = os.lstat(os.path.join(root, path))  # noqa: PTH118 - text
        except FileNotFoundError:
            (batch.missing if listing.clear else batch.spared).append(path)
        except OSError:
            batch.spared.append(path)  # it cannot be seen, which is not absence
        else:
            if not stat.S_ISREG(found.st_mode):
                batch.spared.append(path)
    return batch


def classify_file(
    classifier: Classifier,
    path: str,
    seen: StatIdentity,
    batch: ListingBatch,
    *,
    home: str | None = None,
    is_known: bool = False,
    may_be_journaled: bool = False,
) -> None:
    """Route one regular file; ``home`` is where it is at home. ``is_known``: earlier content was handled.

    ``may_be_journaled``: there may be a row of it, which is to go if the file is held.
    """

    def example(finding: Finding, why: str | None) -> None:
        shown = Example(path=path, finding=finding, why=why or "", changed_ns=seen.ctime_ns, known=is_known)
        batch.examples.append(shown)

    match _routed(classifier, path, seen, batch):
        case Route() as route:
            observation = Observation(root=classifier.root, path=path, identity=seen, route=route, home=home)
            batch.observations.append(observation)
        case Marker() as marker:
            batch.markers.append(MarkerSeen(path=path, marker=marker, mtime_ns=seen.mtime_ns))
        case Unmatched(reason=reason):
            example(Finding.UNMATCHED, reason)
        case Misplaced(reason=why):
            example(Finding.MISPLACED, why)
        case Refused(reason=reason):
            example(Finding.REFUSED, reason)
        case Withheld(reason=reason):
            example(Finding.HELD, reason)
            if may_be_journaled:
                batch.withheld[path] = reason
        case Ignored():
            example(Finding.IGNORED, None)
        case never:
            assert_never(never)


def _routed(classifier: Classifier, path: str, seen: StatIdentity, batch: ListingBatch) -> Routing:
    """Say what a file means, and take in the playlist that it is, or that holds it."""
    routing, playlist = classifier.routed(path, seen)
    if isinstance(routing, Route):  # which no playlist gets
        return routing
    if is_playlist(path.rpartition("/")[2]) and not isinstance(routing, Ignored):
        playlist = path
        classifier.playlists.changed(path)
    if playlist is not None:  # whatever becomes of it, it was there
        batch.playlists.add(playlist)
    return routing


def classify_specials(classifier: Classifier, listing: Listing, batch: ListingBatch) -> None:
    """Take in what a folder has that is no regular file, or cannot be seen."""
    for special in listing.special:
        classify_special(classifier, special, batch)


def classify_special(classifier: Classifier, special: SpecialEntry, batch: ListingBatch) -> None:
    """Take in what is no regular file, or cannot be seen.

    A root that cannot be read is no file: it is away.
    """
    if special.path == ".":
        return
    inside = False
    match classifier.odd(special):
        case Ignored():
            finding, why = Finding.IGNORED, None
        case Refused(reason=why):
            finding, inside = Finding.REFUSED, special.inside
        case Misplaced(reason=why):
            finding = Finding.MISPLACED
        case Unmatched(reason=why):
            finding = Finding.UNMATCHED
        case never:
            assert_never(never)
    changed_ns = special.found.st_ctime_ns if special.found is not None else None
    batch.examples.append(
        Example(path=special.path, finding=finding, why=why or "", changed_ns=changed_ns, inside=inside)
    )

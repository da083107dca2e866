"""Looks at the paths that events named: at files, and into folders, all in one turn of a worker thread.

A folder of very many files is left to the scanner, which asks the journal first which of them are new. Of few
files that question costs more than to observe them all. Blocking.
"""

from __future__ import annotations

import functools
import stat
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from sidecar.files import identity_of
from sidecar.homes import home_of
from sidecar.journal.stores.known import Known
from sidecar.watch.scan.classify import (
    Classifier,
    ListingBatch,
    classify_file,
    classify_special,
    classify_specials,
)
from sidecar.watch.scan.listing import Listing, join, lstat_below, odd_of
from sidecar.watch.scan.root_scan import Walk

from .recent_listings import RecentListings

FILES_MAX = 256  # of all folders of a look


@dataclass(slots=True, kw_only=True)
class Look:
    """What a look found.

    ``large`` are the folders that are left to the scanner, ``listings`` those of all others. ``again`` are
    files that look as they did when they were listed before: nobody need take them in.
    """

    batch: ListingBatch = field(default_factory=ListingBatch)
    listings: list[Listing] = field(default_factory=list)
    large: list[str] = field(default_factory=list)
    again: list[str] = field(default_factory=list)


def look_at(classifier: Classifier, recent: RecentListings, paths: Collection[str], *, are_new: bool) -> Look:
    """Look at paths. With ``are_new`` a folder that was listed lately is left alone."""
    seen, folders, root = Look(), list[str](), classifier.root
    home = functools.cache(functools.partial(home_of, root))
    for path in paths:
        found = lstat_below(root, path)
        if found is None:
            continue
        if (special := odd_of(path, found)) is not None:
            classify_special(classifier, special, seen.batch)
        elif not stat.S_ISDIR(found.st_mode):
            at, identity = home(path.rpartition("/")[0]), identity_of(found)
            classify_file(classifier, path, identity, seen.batch, home=at, may_be_journaled=True)
        elif not (are_new and recent.has(path, found.st_ino)):
            folders.append(path)
    left = FILES_MAX
    for folder in _topmost(folders):
        left -= _look_into(classifier, recent, folder, seen, files_max=left)
    return seen


def _look_into(
    classifier: Classifier, recent: RecentListings, folder: str, seen: Look, *, files_max: int
) -> int:
    """Look at all that lies in a folder, if it is little; return how many files it has then."""
    walk = Walk(classifier.root, folder, files_max=files_max)
    listings = walk.next_batch()
    if walk.is_open:
        seen.large.append(folder)
        return 0
    seen.listings += listings
    for listing in listings:
        _compare(classifier, recent, listing, seen)
    return sum(len(listing.files) for listing in listings)


def _compare(classifier: Classifier, recent: RecentListings, listing: Listing, seen: Look) -> None:
    """Take in what is not as it was a moment ago."""
    before = recent.files(listing.folder, listing.inode)
    if listing.files and not before:
        classifier.playlists.listed(listing)
    for name, row in listing.files.items():
        path, identity = join(listing.folder, name), Known._make(row).identity
        assert identity is not None  # noqa: S101 - it was made of a stat
        if before.get(name) == row:
            seen.again.append(path)
        else:
            classify_file(classifier, path, identity, seen.batch, home=listing.home, may_be_journaled=True)
    classify_specials(classifier, listing, seen.batch)
    if listing.whole:
        seen.batch.missing += [join(listing.folder, name) for name in before if name not in listing.files]


def _topmost(folders: Iterable[str]) -> list[str]:
    """Leave out what a walk of another one covers."""
    kept = list[str]()
    for folder in sorted(folders, key=lambda folder: folder.split("/")):
        if not kept or not folder.startswith(f"{kept[-1]}/"):
            kept.append(folder)
    return kept

"""The census counts what a root holds that is not journaled, by finding, with examples for people.

It belongs to the last full listing, and takes in what events told since. The counts are exact for any
session or folder, because each path is counted once and because what counts as unsent is kept by folder,
extension and class. That costs memory for each folder, and nine bytes for each path (``Paths``). All else is
counted for the root as a whole. Files that only pass through as temporary names are counted by listings
alone.

A path belongs to a session if it lies below the session's folder, as any rule names it. A link counts for
the session whose folder it lies in, since a scene may lie behind it.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from sidecar.core.account import NAMED_MAX, FileClass, Shown, Unmatched, row_of
from sidecar.core.findings import Finding
from sidecar.core.media import extension

_HEAPS = 4_096  # a million paths make them 250 long
_HASH_BITS = 2**64 - 1


COUNTED = (Finding.UNMATCHED, Finding.MISPLACED, Finding.REFUSED, Finding.HELD, Finding.IGNORED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A path below its root that is not sent, and one sentence why; "" where the rules tell on demand.

    ``changed_ns`` is its ctime, None where it could not be seen. ``known``: the journal has an earlier
    version of it. ``inside``: it stands for whatever lies in it.
    """

    path: str
    finding: Finding
    why: str
    changed_ns: int | None = None
    known: bool = False
    inside: bool = False


class UnsentGroup(NamedTuple):
    """What is told of together: files of one kind in one folder."""

    folder: str
    extension: str
    finding: Finding


@dataclass(slots=True, kw_only=True)
class Tally:
    """How many files of a place are not sent, how many of them are new, and some of both."""

    count: int = 0
    new: int = 0
    examples: list[Example] = field(default_factory=list)
    new_examples: list[Example] = field(default_factory=list)


class Paths:
    """A set of paths, each some nine bytes: sorted hashes, in so many heaps that inserting moves little."""

    def __init__(self) -> None:
        """Begin empty."""
        self._heaps: defaultdict[int, array[int]] = defaultdict(lambda: array("Q"))

    def add(self, path: str) -> bool:
        """Take a path in; False if it was there."""
        mark = hash(path) & _HASH_BITS
        heap = self._heaps[mark % _HEAPS]
        place = bisect_left(heap, mark)
        if place < len(heap) and heap[place] == mark:
            return False
        heap.insert(place, mark)
        return True


class Census:
    """One full listing's findings, and those that events brought since.

    A path is counted once, whoever tells of it; that it went away shows at the next full listing.
    """

    def __init__(self, *, unmatched: Unmatched = "misplaced", new_since_ns: int = 0) -> None:
        """Take the setting that says what counts; what changed at or after ``new_since_ns`` is new."""
        self._unmatched, self._new_since_ns = unmatched, new_since_ns
        self._counts = dict.fromkeys(COUNTED, 0)
        self._shown = {finding: deque[Example](maxlen=NAMED_MAX) for finding in COUNTED}
        self._seen = Paths()
        self.places: dict[UnsentGroup, Tally] = {}
        self.known = 0  # of the findings, those whose earlier version the journal has

    def add(self, example: Example) -> None:
        """Count a finding, once a path: events, playlists and the listing itself tell of the same."""
        if not self._seen.add(example.path):
            return
        self._counts[example.finding] += 1
        self.known += example.known
        if self.counts_as_unsent(example.finding):
            self._keep(example)
        elif example.finding is not Finding.IGNORED:
            self._shown[example.finding].append(example)

    def counts_as_unsent(self, finding: Finding) -> bool:
        """Tell whether somebody should hear of such files."""
        return row_of(FileClass(finding), self._unmatched).status is Shown.ATTENTION

    @property
    def size(self) -> int:
        """How many files were counted."""
        return sum(self._counts.values())

    def count(self, finding: Finding) -> int:
        """Return how many files have a finding."""
        return self._counts[finding]

    def examples(self) -> list[Example]:
        """Return at most NAMED_MAX of each finding, the newest of each first."""
        return [example for shown in self._shown.values() for example in reversed(shown)]

    def unsent(self) -> Iterator[tuple[UnsentGroup, Tally]]:
        """Yield all that counts as unsent."""
        return iter(list(self.places.items()))

    def _keep(self, example: Example) -> None:
        folder, _, name = example.path.rpartition("/")
        place = UnsentGroup(example.path if example.inside else folder, extension(name), example.finding)
        if (tally := self.places.get(place)) is None:
            tally = self.places[place] = Tally()
        tally.count += 1
        is_new = example.changed_ns is None or example.changed_ns >= self._new_since_ns
        tally.new += is_new
        if len(tally.examples) < NAMED_MAX:
            tally.examples.append(example)
        if is_new and len(tally.new_examples) < NAMED_MAX:
            tally.new_examples.append(example)
        if len(self._shown[example.finding]) < NAMED_MAX:
            self._shown[example.finding].append(example)

"""What a root holds that is not sent, by finding: counted, with a few examples for people."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import StrEnum

EXAMPLES_MAX = 20
SEEN_MAX = 100_000


class Finding(StrEnum):
    """What is made of one path as it is now."""

    MISSING = "missing"
    FOLDER = "folder"
    IGNORED = "ignored"
    UNMATCHED = "unmatched"
    REFUSED = "refused"
    HELD = "held"
    WAITING = "waiting"
    MATCHED = "matched"


COUNTED = (Finding.UNMATCHED, Finding.REFUSED, Finding.HELD)


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A path below its root that is not sent, and one sentence why."""

    path: str
    finding: Finding
    why: str


class Census:
    """One full listing's findings, and those that events brought since. Bounded.

    A newcomer is counted once; that a file went away shows at the next full listing.
    """

    def __init__(self) -> None:
        self._counts = dict.fromkeys(COUNTED, 0)
        self._examples = {finding: deque[Example](maxlen=EXAMPLES_MAX) for finding in COUNTED}
        self._seen: set[int] = set()

    def add(self, example: Example) -> None:
        """Count a finding, once a path. Beyond SEEN_MAX paths only listings go on counting."""
        mark = hash(example.path)
        if mark in self._seen:
            return
        if len(self._seen) < SEEN_MAX:
            self._seen.add(mark)
        self._counts[example.finding] += 1
        self._examples[example.finding].append(example)

    def add_newcomer(self, example: Example) -> None:
        """Count a finding that an event brought, as far as it can be told from those of the listing."""
        if len(self._seen) < SEEN_MAX:
            self.add(example)

    def count(self, finding: Finding) -> int:
        """Return how many files have a finding."""
        return self._counts[finding]

    def examples(self) -> list[Example]:
        """Return at most EXAMPLES_MAX of each finding, the newest of each first."""
        return [example for shown in self._examples.values() for example in reversed(shown)]

"""Gathers what counts as unsent over all roots: each root's census, and candidates that cannot be read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from sidecar.core.account import NAMED_MAX, FileClass, FileScope, is_within
from sidecar.core.findings import Finding
from sidecar.core.media import extension
from sidecar.core.routing import Router
from sidecar.watch.complete.candidates import Candidates
from sidecar.watch.scan.census import Example, Tally, UnsentGroup

from .root import RootWatch


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsent:
    """Numbers by class, those that are new, and at most NAMED_MAX examples of both with their roots."""

    counts: Mapping[FileClass, int]
    new: Mapping[FileClass, int]
    examples: Sequence[tuple[str, Example]]
    new_examples: Sequence[tuple[str, Example]]


@dataclass(frozen=True, slots=True, kw_only=True)
class UnsentReport:
    """Answers from memory: as old as the last listing, and what events brought since."""

    roots: Mapping[str, RootWatch]
    candidates: Candidates
    router: Router

    def unsent(self, scope: FileScope) -> Unsent:
        """Return what counts as unsent within a scope, exactly."""
        counts, new = Counter[FileClass](), Counter[FileClass]()
        examples, new_examples = list[tuple[str, Example]](), list[tuple[str, Example]]()
        for root in self.roots:
            for place, tally in self.places(root, scope):
                counts[FileClass(place.finding)] += tally.count
                new[FileClass(place.finding)] += tally.new
                self._name(root, tally.examples, examples)
                self._name(root, tally.new_examples, new_examples)
        return Unsent(counts=counts, new=new, examples=examples, new_examples=new_examples)

    def _name(self, root: str, some: Sequence[Example], named: list[tuple[str, Example]]) -> None:
        room = NAMED_MAX - len(named)
        named += [(root, self.with_reason(one)) for one in some[:room]]

    def places(self, root: str, scope: FileScope) -> Iterator[tuple[UnsentGroup, Tally]]:
        """Yield what counts as unsent in a root, by folder, extension and class."""
        if scope.root not in {None, root}:
            return
        for place, tally in self.roots[root].census.unsent():
            if (found := self._within(scope, root, place, tally)) is not None:
                yield place, found
        yield from self._unreadable(root, scope)

    def unreadable(self, root: str) -> list[Example]:
        """Return the candidates of a root that cannot be read."""
        return [
            Example(path=one.path, finding=Finding.REFUSED, why=one.why)
            for one in self.candidates.all()
            if one.root == root and one.file_class is FileClass.REFUSED
        ]

    def with_reason(self, example: Example) -> Example:
        """Say why a file is misplaced, which nobody found out before it was asked."""
        if example.why or example.finding is not Finding.MISPLACED:
            return example
        return replace(example, why=self.router.nearest(example.path))

    def with_reasons(self, examples: Iterable[Example]) -> list[Example]:
        """Say it of all of them."""
        return [self.with_reason(example) for example in examples]

    def _within(self, scope: FileScope, root: str, place: UnsentGroup, tally: Tally) -> Tally | None:
        if scope.session_id is not None:
            return tally if self.router.is_in_session(root, place.folder, scope.session_id) else None
        return tally if is_within(place.folder, scope.path) else None

    def _unreadable(self, root: str, scope: FileScope) -> Iterator[tuple[UnsentGroup, Tally]]:
        for one in self.unreadable(root):
            folder, _, name = one.path.rpartition("/")
            place = UnsentGroup(folder, extension(name), one.finding)
            tally = Tally(count=1, new=1, examples=[one], new_examples=[one])
            if scope.covers(root, one.path) and self._within(scope, root, place, tally) is not None:
                yield place, tally

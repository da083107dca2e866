"""Decides who goes first where not all can go at once: on the line, in memory, among transfers under way.

Priority counts first. Of equal priority what is begun is finished first: a transfer of which S3 has parts,
the oldest first, then the rest in the order of the claim, which is by age. On a narrow line the parts of one
film go then one after the other, and the first film is whole before the second one gets more than what is
left over.

A *small* file goes in one body. It does not wait for all parts of *large* ones of its priority, nor do these
wait for a crowd of small ones: while both wait they share by halves, in bytes. Nor does a transfer wait for
a place among the ``upload.concurrency`` ones under way behind those that go after it: what is more urgent
than films that hold all places, or small and as urgent, gets further places, five times as many at most.
While all that is under way is light, four times as many go: such files wait for round trips and commits,
which many share.

However much is more urgent, nobody waits for ever: an eighth of the line (in bytes) and of the places is for
what is less urgent, one priority after another. So a part of 8 MiB waits for at most 56 MiB of others.
"""

from __future__ import annotations

from bisect import insort_right
from collections.abc import Collection
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Generic, TypeVar

ANY = 2**62
LIGHT_BYTES = 64 * 1024  # a body up to this is read at once
CROWD = 4  # so many times as many as wanted are under way while all are light
PILES = 5  # so many times as many as wanted are under way at most, whatever came later and goes first
RESERVE = 8  # one byte and one place of so many are for what is less urgent

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Rank:
    """A transfer's place among all. ``is_fresh``: it was not begun before it was claimed.

    ``number`` is its age: for fresh ones the order of the claim, since those are begun at once.
    """

    priority: int  # 0 goes first
    is_large: bool
    is_fresh: bool
    number: int
    is_light: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadRoom:
    """Which transfers may begin: ``count`` more urgent than ``priority``, or as urgent and shorter.

    ``light`` of them, if that is more, while all are light. None is more urgent than ``least_priority``.
    """

    count: int
    light: int = 0
    priority: int = ANY
    shorter_than_bytes: int = ANY
    least_priority: int = 0

    @property
    def is_for_all(self) -> bool:
        """Whether whatever is ready may begin, as far as there are places."""
        return (self.priority, self.shorter_than_bytes, self.least_priority) == (ANY, ANY, 0)


def room(under_way: Collection[Rank], *, wanted: int, part_bytes: int) -> UploadRoom | None:
    """Tell which transfers may begin beside those under way; None: none.

    ``wanted`` at once. But a transfer waits only for those that go before it: more urgent than films that
    hold all places it would else wait for a whole one, and so would a small file as urgent as they are.
    """
    count = min(wanted, PILES * wanted - len(under_way))
    if count <= 0:
        return None
    light = CROWD * wanted - len(under_way) if all(rank.is_light for rank in under_way) else 0
    if len(under_way) < wanted:
        return UploadRoom(count=wanted - len(under_way), light=light)
    if light > 0:
        return UploadRoom(count=min(count, light), light=light)
    places = sorted((rank.priority, rank.is_large) for rank in under_way)
    priority, is_large = full_at = places[wanted - 1]
    count = min(count, wanted - sum(place < full_at for place in places))
    if is_large:
        return UploadRoom(count=count, priority=priority, shorter_than_bytes=part_bytes)
    return UploadRoom(count=count, priority=priority - 1) if priority else None


def reserved(under_way: Collection[Rank], *, wanted: int, served: int) -> UploadRoom | None:
    """Tell which transfers may begin although more urgent ones take all places; None: none, or nobody does.

    One of eight places, one at least. The priorities take turns: ``served`` had the last one.
    """
    if len(under_way) < wanted:
        return None
    most_urgent = min(rank.priority for rank in under_way)
    count = max(1, wanted // RESERVE) - sum(rank.priority > most_urgent for rank in under_way)
    return UploadRoom(count=count, least_priority=max(served, most_urgent) + 1) if count > 0 else None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class QueuedBody(Generic[T]):
    """One body that waits: it takes ``size`` of what is scarce, and ``length_bytes`` of the line."""

    rank: Rank
    size: int
    length_bytes: int
    item: T


@dataclass(slots=True)
class _Priority(Generic[T]):
    """The bodies of one priority that wait, small ones and large ones."""

    small: list[QueuedBody[T]] = field(default_factory=list)
    large: list[QueuedBody[T]] = field(default_factory=list)
    lead_bytes: int = 0  # that small ones are ahead of large ones, since both wait

    def queue(self) -> list[QueuedBody[T]]:
        """Return those whose turn it is."""
        both = self.small and self.large
        return self.large if not self.small or (both and self.lead_bytes > 0) else self.small

    def count(self, one: QueuedBody[T]) -> None:
        """Take in that one goes."""
        if self.small and self.large:
            self.lead_bytes += -one.length_bytes if one.rank.is_large else one.length_bytes
        else:
            self.lead_bytes = 0


class UploadQueue(Generic[T]):
    """The bodies that wait, in the order in which they go."""

    def __init__(self) -> None:
        """Begin with nobody waiting."""
        self.levels: dict[int, _Priority[T]] = {}  # by priority; empty: nobody waits
        self._passed_bytes = 0  # of the most urgent ones, since less urgent ones wait and had their share
        self._served = -1  # the priority that had it last

    def add(self, one: QueuedBody[T]) -> None:
        """Queue; behind others of the same rank."""
        level = self.levels.setdefault(one.rank.priority, _Priority())
        insort_right(level.large if one.rank.is_large else level.small, one, key=attrgetter("rank"))

    def first(self) -> QueuedBody[T] | None:
        """Return whose turn it is."""
        if not self.levels:
            return None
        if len(self.levels) > 1:
            one = self.levels[self._less_urgent()].queue()[0]
            if self._passed_bytes >= (RESERVE - 1) * one.length_bytes:
                return one
        return self.levels[min(self.levels)].queue()[0]

    def go(self, one: QueuedBody[T]) -> None:
        """Let the first one go."""
        priority = one.rank.priority
        if len(self.levels) == 1:
            self._passed_bytes = 0
        elif priority == min(self.levels):
            self._passed_bytes += one.length_bytes
        else:
            self._passed_bytes, self._served = 0, priority
        self.levels[priority].count(one)
        self.drop(one)

    def drop(self, one: QueuedBody[T]) -> None:
        """Forget the first one: it does not wait any more."""
        level = self.levels[one.rank.priority]
        (level.large if one.rank.is_large else level.small).remove(one)
        if not level.small and not level.large:
            del self.levels[one.rank.priority]

    def _less_urgent(self) -> int:
        """Return the priority that has the next share of what is not for the most urgent one."""
        _, *others = sorted(self.levels)
        return next((priority for priority in others if priority > self._served), others[0])

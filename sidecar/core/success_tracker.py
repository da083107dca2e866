"""Counts who got through meanwhile in the same operation: one object's failure is judged by that.

It needs bounded memory and no clock. Each object under way or in trouble has a memo of what had been counted
when its attempt began, or when it failed last; the oldest memos are forgotten first, which errs on the side
of blaming nobody.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

MEMOS_MAX = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Successes and failures by operation when an object last failed (or its attempt began).

    ``unspent`` counts its failures since the last that cost an attempt, ``in_a_row`` all of them.
    """

    succeeded: Mapping[str, int] = field(default_factory=dict)
    failed: Mapping[str, int] = field(default_factory=dict)
    unspent: int = 0
    in_a_row: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class OthersSince:
    """What became of others in one operation since a memo."""

    succeeded: int
    failed: int


class SuccessTracker:
    """Successes and failures of one remote, and memos of the objects that try."""

    def __init__(self) -> None:
        """Begin without any."""
        self._succeeded: Counter[str] = Counter()  # by operation: there are some ten
        self._failed: Counter[str] = Counter()
        self._memos: OrderedDict[str, Counts] = OrderedDict()
        self._snapshot: Counts | None = None  # of now, for all that begin before anything else happens

    def __len__(self) -> int:
        """Return the number of memos."""
        return len(self._memos)

    def began(self, target: str) -> None:
        """Note that an attempt begins, unless the object is in trouble already."""
        if target not in self._memos:
            self._memos[target] = self._snapshot or self._now()
            self._forget_oldest()

    def memo(self, target: str) -> Counts:
        """Return what is remembered of an object; of an unknown one, that it began just now."""
        return self._memos.get(target) or self._now()

    def stepped(self, target: str, operation: str) -> None:
        """Count a success of one operation on the object's way, which is no witness against itself."""
        self._succeeded[operation] += 1
        self._snapshot = None
        if (memo := self._memos.get(target)) is not None:
            counts = {**memo.succeeded, operation: memo.succeeded.get(operation, 0) + 1}
            self._memos[target] = replace(memo, succeeded=counts)

    def succeeded(self, target: str, operation: str) -> None:
        """Count a success and forget the object's troubles."""
        self._memos.pop(target, None)
        self._succeeded[operation] += 1
        self._snapshot = None

    def failed(self, target: str, operation: str, *, unspent: int) -> None:
        """Count a failure: from here on what becomes of others counts for and against the object."""
        in_a_row = self.memo(target).in_a_row + 1
        self._failed[operation] += 1
        self._snapshot = None
        self._memos[target] = replace(self._now(), unspent=unspent, in_a_row=in_a_row)
        self._memos.move_to_end(target)
        self._forget_oldest()

    def forget(self, target: str) -> None:
        """Drop an object's memo."""
        self._memos.pop(target, None)

    def others_since(self, memo: Counts, operation: str) -> OthersSince:
        """Return what became of others in this operation since the memo of an object."""
        return OthersSince(
            succeeded=self._succeeded[operation] - memo.succeeded.get(operation, 0),
            failed=self._failed[operation] - memo.failed.get(operation, 0),
        )

    def _now(self) -> Counts:
        if self._snapshot is None:
            self._snapshot = Counts(succeeded=dict(self._succeeded), failed=dict(self._failed))
        return self._snapshot

    def _forget_oldest(self) -> None:
        if len(self._memos) > MEMOS_MAX:
            self._memos.popitem(last=False)

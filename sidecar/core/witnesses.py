"""Who got through since: whether others succeed while one object fails. Bounded memory, no clock.

Two records of successes answer the question exactly: the newest one, and the newest one of another
target than that. Each object under way or in trouble has a memo; the oldest memos are forgotten
first, which errs on the side of blaming nobody.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

MEMOS_MAX = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Memo:
    """Successes counted when an object last failed (or its attempt began), failures that cost nothing."""

    mark: int
    unspent: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Success:
    number: int
    target: str


class Witnesses:
    """Successes of one remote, and memos of the objects that try."""

    def __init__(self) -> None:
        """Begin without any."""
        self._latest: _Success | None = None
        self._rival: _Success | None = None  # the newest of another target than the latest's
        self._memos: OrderedDict[str, Memo] = OrderedDict()

    def __len__(self) -> int:
        """Return the number of memos."""
        return len(self._memos)

    def began(self, target: str) -> None:
        """Note that an attempt begins, unless the object is in trouble already."""
        if target not in self._memos:
            self._keep(target, Memo(mark=self._count))

    def memo(self, target: str) -> Memo:
        """Return what is remembered of an object; of an unknown one, that it began just now."""
        return self._memos.get(target, Memo(mark=self._count))

    def succeeded(self, target: str) -> None:
        """Count a success and forget the object's troubles."""
        self.forget(target)
        if self._latest is not None and self._latest.target != target:
            self._rival = self._latest
        self._latest = _Success(number=self._count + 1, target=target)

    def failed(self, target: str, *, unspent: int) -> None:
        """Note a failure: from here on the successes of others count against the object."""
        self._keep(target, Memo(mark=self._count, unspent=unspent))

    def forget(self, target: str) -> None:
        """Drop an object's memo."""
        self._memos.pop(target, None)

    def others_since(self, memo: Memo, target: str) -> bool:
        """Tell whether another target than this one succeeded since the memo."""
        successes = (one for one in (self._latest, self._rival) if one is not None)
        return any(one.target != target and one.number > memo.mark for one in successes)

    @property
    def _count(self) -> int:
        return self._latest.number if self._latest else 0

    def _keep(self, target: str, memo: Memo) -> None:
        self._memos[target] = memo
        self._memos.move_to_end(target)
        if len(self._memos) > MEMOS_MAX:
            self._memos.popitem(last=False)

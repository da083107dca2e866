"""Measures how fast bytes go, and how long the rest will take. Time is an argument."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

SPAN_SECONDS = 10.0


@dataclass(slots=True, kw_only=True)
class Speed:
    """The speed over the last ``span_seconds`` of a number that grows."""

    span_seconds: float = SPAN_SECONDS
    _seen: deque[tuple[float, float]] = field(default_factory=deque)

    def saw(self, total: float, now: float) -> None:
        """Take in how much there was at ``now``; less than before means that it began anew."""
        if self._seen and total < self._seen[-1][1]:
            self._seen.clear()
        self._seen.append((now, total))
        while len(self._seen) > 2 and now - self._seen[1][0] >= self.span_seconds:  # noqa: PLR2004 - both ends
            self._seen.popleft()

    @property
    def per_second(self) -> float | None:
        """The speed; None while too little was seen to tell one."""
        if len(self._seen) < 2 or self._seen[-1][0] <= self._seen[0][0]:  # noqa: PLR2004 - both ends
            return None
        (began, first), (ended, last) = self._seen[0], self._seen[-1]
        return (last - first) / (ended - began)


@dataclass(slots=True, kw_only=True)
class Speeds:
    """The speed of several things, and of all together. What is not seen any more has arrived."""

    _each: dict[str, Speed] = field(default_factory=dict)
    _now: dict[str, tuple[int, int]] = field(default_factory=dict)  # sent, size
    _all: Speed = field(default_factory=Speed)
    _arrived: int = 0

    def saw(self, under_way: Mapping[str, tuple[int, int]], now: float) -> None:
        """Take in what each has sent, and its size."""
        for gone in self._now.keys() - under_way.keys():
            self._arrived += self._now[gone][1]
            self._each.pop(gone, None)
        self._now = dict(under_way)
        for name, (sent, _) in under_way.items():
            self._each.setdefault(name, Speed()).saw(sent, now)
        self._all.saw(self._arrived + sum(sent for sent, _ in under_way.values()), now)

    def of(self, name: str) -> float | None:
        """Return the speed of one."""
        return self._each[name].per_second if name in self._each else None

    @property
    def total(self) -> float | None:
        """The speed of all together."""
        return self._all.per_second


def seconds_left(left: float, per_second: float | None) -> float | None:
    """Return how long the rest will take at a speed; None where nothing moves."""
    return left / per_second if per_second and per_second > 0 else None

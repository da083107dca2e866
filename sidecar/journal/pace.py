"""Says how long a commit waits for calls that may share it: what it costs hardly grows with what is in it.

A call that comes alone, or with few, is committed at once. While many call, as in a burst of small files, the
thread would be back so soon that every other commit held a call or two.
"""

from __future__ import annotations

from collections import deque

MANY_CALLS, LATELY_SECONDS = 32, 0.1  # as many in so short a time are a crowd
APART_SECONDS = 0.008  # from the end of a crowd's commit to the next: places are claimed meanwhile
ENOUGH_CALLS = 64  # that need no others


class Pace:
    """When the commits of one thread ended, and of how many calls they were. The time is monotonic."""

    def __init__(self) -> None:
        """Nothing was committed yet."""
        self._lately = deque[tuple[float, int]]()
        self._calls = 0  # of those

    def wait_seconds(self, calls: int, *, now: float) -> float:
        """Return how long the commit of so many calls is to wait."""
        while self._lately and now - self._lately[0][0] > LATELY_SECONDS:
            self._calls -= self._lately.popleft()[1]
        if calls >= ENOUGH_CALLS or self._calls < MANY_CALLS:
            return 0.0
        return max(0.0, self._lately[-1][0] + APART_SECONDS - now)

    def committed(self, calls: int, *, now: float) -> None:
        """Note that a commit of so many calls is over. Calls that came one by one are no crowd."""
        many = calls if calls > 1 else 0
        self._lately.append((now, many))
        self._calls += many

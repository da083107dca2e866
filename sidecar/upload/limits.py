"""Limits what uploads take of this machine: bytes at once, and bytes per second."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sidecar.core.clock import Clock
from sidecar.core.upload_order import QueuedBody, Rank, UploadQueue

_SMALL_SHARE = 8  # of the whole, for small claims alone
_SMALL_CLAIM = 64
SAVED_SECONDS = 0.1  # a hundredth of the ten seconds over which a bandwidth limit is kept
SLEEP_SECONDS_MIN = 0.005  # event loops count in milliseconds

# Of a body's length in bytes: its lane, and how much it takes there.
Choice = Callable[[int], tuple["Lane", int]]


class MemoryBudget:
    """Bytes that may be claimed at once, in ``core/upload_order.py``'s order: what is large is not starved.

    An eighth is kept for small claims (up to 1/64 of the whole) that find no room elsewhere, so that a
    thumbnail does not queue behind the parts of a film. A claim larger than its lane takes the whole lane.
    """

    def __init__(
        self,
        limit_bytes: int,
        *,
        turn: Choice | None = None,
    ) -> None:
        """Divide ``limit_bytes`` into two lanes. ``turn`` is the line's: it may let fewer go at once."""
        self._turn = turn
        small = limit_bytes // _SMALL_SHARE
        self._small_claim = limit_bytes // _SMALL_CLAIM
        self._small = Lane(max(1, small))
        self._large = Lane(max(1, limit_bytes - small))

    def behind(self, turn: Choice) -> MemoryBudget:
        """Return the same budget for whoever sends by a line of that ``turn``."""
        found = copy.copy(self)  # with the very lanes
        found._turn = turn  # noqa: SLF001 - it is ours
        return found

    @property
    def claimed_bytes(self) -> int:
        """Bytes claimed now."""
        return self._small.used + self._large.used

    def at_once(self, size_bytes: int) -> int:
        """How many claims of a size fit at once, at least 1."""
        return max(1, self._lane(size_bytes).limit // max(1, size_bytes))

    def claim(self, size_bytes: int, rank: Rank) -> Place:
        """Wait until the bytes are free, hold them for the block.

        The line's turn comes first: what waits for it holds no bytes that are wanted by somebody more urgent.
        """
        choices = (self._place,) if self._turn is None else (self._turn, self._place)
        return Place(choices, size_bytes, rank)

    def _place(self, size_bytes: int) -> tuple[Lane, int]:
        lane = self._large if self._large.has_room(size_bytes) else self._lane(size_bytes)
        return lane, min(max(1, size_bytes), lane.limit)

    def _lane(self, size_bytes: int) -> Lane:
        return self._small if size_bytes <= self._small_claim else self._large


class Lane:
    """A counted semaphore whose queue has an order, and whose limit may change."""

    def __init__(self, limit: int) -> None:
        """Let ``limit`` be taken at once."""
        self.limit = limit
        self.used = 0
        self._waiting = UploadQueue[asyncio.Future[None]]()

    def has_room(self, size: int) -> bool:
        """Tell whether somebody who comes now need not wait."""
        return not self._waiting.levels and self.used + size <= self.limit

    def take_now(self, size: int) -> bool:
        """Take it if nobody who comes now need wait, and tell whether it was taken."""
        if not self.has_room(size):
            return False
        self.used += size
        return True

    async def take(self, size: int, rank: Rank, *, length_bytes: int) -> None:
        """Wait for a turn; ``give`` it back."""
        if self.take_now(size):
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.add(QueuedBody(rank=rank, size=size, length_bytes=length_bytes, item=turn))
        self._admit()  # it may go before those that wait, and fit where they do not
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._admit()  # those behind us may fit
            else:
                self.give(size)  # our turn and the cancellation came together
            raise

    def resize(self, limit: int) -> None:
        """Let another amount be taken from now on."""
        self.limit = limit
        self._admit()

    def give(self, size: int) -> None:
        """Give back what was taken."""
        self.used -= size
        if self._waiting.levels:
            self._admit()

    def _admit(self) -> None:
        while (one := self._waiting.first()) is not None:
            if one.item.cancelled():
                self._waiting.drop(one)
            elif self.used + one.size <= self.limit:
                self._waiting.go(one)
                self.used += one.size
                one.item.set_result(None)
            else:
                break


class Place:
    """Room in one lane, or in some one by one: waited for at the block's entry, given back at its end."""

    __slots__ = ("_choices", "_length_bytes", "_rank", "_taken")

    def __init__(self, choices: Sequence[Choice], length_bytes: int, rank: Rank) -> None:
        """Each of ``choices`` says, when its turn has come, which lane a body of that length takes."""
        self._choices, self._length_bytes, self._rank = choices, length_bytes, rank
        self._taken: list[tuple[Lane, int]] = []

    async def __aenter__(self) -> None:
        """Wait, where there is no room at once."""
        try:
            for choose in self._choices:
                lane, size = choose(self._length_bytes)
                if not lane.take_now(size):
                    await lane.take(size, self._rank, length_bytes=self._length_bytes)
                self._taken.append((lane, size))
        except BaseException:
            self._give_back()
            raise

    async def __aexit__(self, *_: object) -> None:
        """Give it back."""
        self._give_back()

    def _give_back(self) -> None:
        while self._taken:
            lane, size = self._taken.pop()
            lane.give(size)


class Bandwidth:
    """A token bucket: each taker waits until what was taken before it has been paid.

    What nobody took is kept for ``SAVED_SECONDS``, so that a sleep that ends late costs nothing of the rate.
    At a high rate a chunk takes less than any sleep: only after some of them somebody sleeps.
    """

    def __init__(self, bytes_per_second: int, *, clock: Clock) -> None:
        """``bytes_per_second`` is the rate of all takers together."""
        self._rate = bytes_per_second
        self._clock = clock
        self._paid_at = clock.monotonic()

    async def take(self, size_bytes: int) -> None:
        """Wait until ``size_bytes`` may go."""
        now = self._clock.monotonic()
        wait_seconds = self._paid_at - now
        self._paid_at = max(self._paid_at, now - SAVED_SECONDS) + size_bytes / self._rate
        if wait_seconds > SLEEP_SECONDS_MIN:
            await asyncio.sleep(wait_seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadLimits:
    """What all that send within one process take together. ``bandwidth`` is None where there is no limit."""

    budget: MemoryBudget
    bandwidth: Bandwidth | None

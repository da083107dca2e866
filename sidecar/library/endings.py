"""Tells whoever waits how transfers end: each once, also what ends before it is waited for."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sidecar.core.model import State
from sidecar.journal.db.connection import Transition

from .errors import ClosedError

NOT_YET = "the platform was closed before this was delivered; it will be"
_REMEMBERED_MAX = 256  # of one memory, before those who come use a new one


@dataclass(slots=True, eq=False)
class _Memory:
    """What ended since a time, for those who are about to wait; forgotten with the last of them."""

    users: int = 0
    ended: dict[str, State | None] = field(default_factory=dict)


class Endings:
    """Of one life after the other; what one of them leaves, another process finishes."""

    def __init__(self, over: Collection[State]) -> None:
        """``over`` are the states in which a transfer has come to its end."""
        self._over = over
        self._waiting: dict[str, list[asyncio.Future[State | None]]] = defaultdict(list)
        self._newest = _Memory()
        self._memories = [self._newest]  # few: hundreds who are about to wait share one

    @contextmanager
    def about_to_wait(self) -> Iterator[dict[str, State | None]]:
        """Remember what ends within the block, a transaction long: it may be what is waited for next."""
        memory = self._newest
        memory.users += 1
        try:
            yield memory.ended
        finally:
            memory.users -= 1
            if not memory.users:
                memory.ended.clear()
                if memory is not self._newest:
                    self._memories.remove(memory)

    def end_of(self, transfer_id: str, ended: Mapping[str, State | None]) -> asyncio.Future[State | None]:
        """Return what is done with the end of a transfer; None where its row was dropped."""
        ends: asyncio.Future[State | None] = asyncio.get_running_loop().create_future()
        if transfer_id in ended:
            ends.set_result(ended[transfer_id])
        else:
            self._waiting[transfer_id].append(ends)
        return ends

    def heard(self, transition: Transition) -> bool:
        """Take in a step; tell whether it is an end."""
        state = None if transition.state is None else State(transition.state)
        if state is not None and state not in self._over:
            for memory in self._memories:  # a dead letter that goes once more has not ended
                memory.ended.pop(transition.transfer_id, None)
            return False
        for ends in self._waiting.pop(transition.transfer_id, ()):
            if not ends.done():
                ends.set_result(state)
        for memory in self._memories:
            if memory.users:
                memory.ended[transition.transfer_id] = state
        if len(self._newest.ended) >= _REMEMBERED_MAX:
            self._newest = _Memory()
            self._memories.append(self._newest)
        return True

    def fail(self, error: BaseException, *more: asyncio.Future[Any]) -> None:
        """Tell everybody who waits, and ``more``, that nothing comes to an end here any more."""
        waiting, self._waiting = self._waiting, defaultdict(list)
        told: list[asyncio.Future[Any]] = [*more, *(one for some in waiting.values() for one in some)]
        for ends in told:
            if not ends.done():
                ends.set_exception(error)
                ends.exception()  # it is told, or nobody asks any more


def not_yet() -> ClosedError:
    """Return what is told of what has not come to its end."""
    return ClosedError(NOT_YET)

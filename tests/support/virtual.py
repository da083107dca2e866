"""One stage over a real journal on a virtual clock: minutes of trouble in milliseconds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, TypeVar

from sidecar.core.clock import Clock
from sidecar.journal.db.connection import Topic
from sidecar.journal.db.store import S
from sidecar.journal.journal import Journal

from .simulation.loop import VirtualClock, VirtualLoop

P = ParamSpec("P")
T = TypeVar("T")


class InlineWriter:
    """``AsyncJournal`` without a thread: each call is done at once."""

    def __init__(self, journal: Journal) -> None:
        """``journal`` is the caller's to close."""
        self.journal = journal
        self._subscribers: dict[Topic, list[asyncio.Event]] = {topic: [] for topic in Topic}

    async def do(self, method: Callable[Concatenate[S, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run one method of a store."""
        return await self.run(lambda journal: method(journal.store_of(method), *args, **kwargs))

    async def run(
        self, work: Callable[Concatenate[Journal, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run a function over the whole journal."""
        await asyncio.sleep(0)
        result = work(self.journal, *args, **kwargs)
        topics, self.journal.db.topics, self.journal.db.transitions = self.journal.db.topics, set(), []
        for topic in sorted(topics):
            for event in self._subscribers[topic]:
                event.set()
        return result

    def subscribe(self, topic: Topic) -> asyncio.Event:
        """Return an event that is set now and after every call that made work for it."""
        event = asyncio.Event()
        event.set()
        self._subscribers[topic].append(event)
        return event


def virtually(work: Callable[[Clock], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine, made with the clock of its loop, in no time."""
    loop = VirtualLoop(0.0)
    asyncio.set_event_loop(loop)
    try:
        return loop.run_until_complete(work(VirtualClock(loop, life=0)))
    finally:
        asyncio.set_event_loop(None)
        loop.close()

"""The journal inline: a real one, each call one transaction and one effect, on the loop itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

from sidecar.journal.db.connection import Topic
from sidecar.journal.db.store import S
from sidecar.journal.journal import Journal

from .power import Power

P = ParamSpec("P")
T = TypeVar("T")


class InlineJournal:
    """What the writer's thread is to the daemon: ``AsyncJournal``, without a thread."""

    def __init__(self, journal: Journal, power: Power) -> None:
        """Transactions are effects of ``power`` if they changed anything."""
        self.journal, self._power = journal, power
        self._subscribers: dict[Topic, list[asyncio.Event]] = {topic: [] for topic in Topic}

    async def do(self, method: Callable[Concatenate[S, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run one method of a store as one transaction; returns after its commit."""
        power, connection = self._power, self.journal.db.conn
        await asyncio.sleep(0)
        power.check()
        changes = connection.total_changes
        before = power.before() if hasattr(method, "__wrapped__") else None  # others only read
        result = method(self.journal.store_of(method), *args, **kwargs)
        if connection.total_changes != changes:
            effect = power.happened(f"journal.{method.__name__}", before)
            self._publish()
            await power.pause(0.004)
            power.heard(effect)
            power.check()
        return result

    async def run(
        self, work: Callable[Concatenate[Journal, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Read with a function over the whole journal."""
        await asyncio.sleep(0)
        self._power.check()
        changes = self.journal.db.conn.total_changes
        result = work(self.journal, *args, **kwargs)
        if self.journal.db.conn.total_changes != changes:
            raise AssertionError("what changes the journal is a method of a store: it is an effect")
        return result

    def subscribe(self, topic: Topic) -> asyncio.Event:
        """Return an event of the caller's own, set now and after every commit that made work for it."""
        event = asyncio.Event()
        event.set()
        self._subscribers[topic].append(event)
        return event

    def _publish(self) -> None:
        topics, self.journal.db.topics = self.journal.db.topics, set()
        self.journal.db.transitions = []
        for topic in sorted(topics):
            for event in self._subscribers[topic]:
                event.set()

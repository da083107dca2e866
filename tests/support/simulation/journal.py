"""The journal inline: a real one, each call one transaction and one effect, on the loop itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

from sidecar.journal.journal import Journal, Topic

from .power import Power

P = ParamSpec("P")
T = TypeVar("T")


class InlineJournal:
    """What the writer's thread is to the daemon: ``AsyncJournal``, without a thread."""

    def __init__(self, journal: Journal, power: Power) -> None:
        """Transactions are effects of ``power`` if they changed anything."""
        self.journal, self._power = journal, power
        self._subscribers: dict[Topic, list[asyncio.Event]] = {topic: [] for topic in Topic}

    async def do(
        self, method: Callable[Concatenate[Journal, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run one journal method as one transaction; returns after its commit."""
        journal, power = self.journal, self._power
        await asyncio.sleep(0)
        power.check()
        connection = journal.db.conn
        changes = connection.total_changes
        before = power.before() if hasattr(method, "__wrapped__") else None  # others only read
        result = method(journal, *args, **kwargs)
        if connection.total_changes != changes:
            effect = power.happened(f"journal.{method.__name__}", before)
            self._publish()
            await power.pause(0.004)
            power.heard(effect)
            power.check()
        return result

    def subscribe(self, topic: Topic) -> asyncio.Event:
        """Return an event of the caller's own, set now and after every commit that made work for it."""
        event = asyncio.Event()
        event.set()
        self._subscribers[topic].append(event)
        return event

    def _publish(self) -> None:
        topics, self.journal.topics = self.journal.topics, set()
        self.journal.transitions = []
        for topic in sorted(topics):
            for event in self._subscribers[topic]:
                event.set()

"""The journal inline: a real one, each call one transaction and one effect, on the loop itself."""

from __future__ import annotations

import asyncio
import atexit
import random
import shutil
import tempfile
from collections.abc import Callable
from contextlib import nullcontext
from functools import cache
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from sidecar.core.clock import Clock
from sidecar.core.ids import sidecar_tag
from sidecar.journal.journal import Journal, Topic

from .power import Power

P = ParamSpec("P")
T = TypeVar("T")
SIDECAR, BUCKET = "simulated", "lessons"
TAG = sidecar_tag(SIDECAR)


def open_journal(path: Path, *, clock: Clock, chance: random.Random) -> Journal:
    """Open a life's journal; a history's first one is a copy of an empty one, which is quicker."""
    if not path.exists():
        shutil.copyfile(_empty(), path)
    journal = Journal(path, tag=TAG, bucket=BUCKET, clock=clock, chance=chance.randbytes)
    journal.db.execute("PRAGMA synchronous = OFF")  # no power is cut that SQLite would notice
    return journal


@cache
def _empty() -> Path:
    folder = Path(tempfile.mkdtemp(dir="/dev/shm"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = folder / "journal.db"

    class Frozen:
        def wall_ms(self) -> int:
            return 0

        def monotonic(self) -> float:
            return 0.0

    Journal(path, tag=TAG, bucket=BUCKET, clock=Frozen()).close()
    return path


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
        await power.pause(0.002)
        connection = journal.db.conn
        before = connection.total_changes
        result = await power.effect(
            f"journal.{method.__name__}",
            lambda: method(journal, *args, **kwargs),
            counts=lambda: connection.total_changes != before,
            atomic=journal.db.atomic if power.may_undo else nullcontext,
        )
        if connection.total_changes != before:
            self._publish()
            await power.pause(0.002)
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

"""The journal behind one writer thread with group commit; the daemon's view of it. (Being written.)"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from .journal import Journal, Topic

P = ParamSpec("P")
T = TypeVar("T")


class AsyncJournal(Protocol):
    """What stages use: ``await journal.do(Journal.claim_uploads, limit=4, now=...)``."""

    async def do(self, method: Callable[Concatenate[Journal, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run one journal method as one durable transaction; returns after its commit."""
        ...

    def subscribe(self, topic: Topic) -> asyncio.Event:
        """Return an event of the caller's own, set after every commit that may have made work for it."""
        ...

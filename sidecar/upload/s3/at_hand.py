"""Keeps connections at hand that have just carried a request: the pool has them back after a moment.

The pool knows many origins, and who waits for room: to give it a connection and to get it again costs as much
as the rest of a small request.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque

from aiohttp.connector import Connection

from .connection import BUSY_SECONDS, ServerBehaviour


class ConnectionsAtHand:
    """Connections to one origin, for ``BUSY_SECONDS``: so long they are used without a look."""

    def __init__(self, behaviour: ServerBehaviour) -> None:
        """``behaviour`` says whether connections that were kept are trusted now."""
        self._behaviour = behaviour
        self._free = deque[tuple[Connection, float]]()  # since when (monotonic), the newest last
        self._timer: asyncio.TimerHandle | None = None

    def take(self) -> Connection | None:
        """Return the one that was used last, None if none was just now."""
        while self._free:
            connection, at = self._free.pop()
            protocol, now = connection.protocol, time.monotonic()
            is_trusted = now - at <= BUSY_SECONDS and now >= self._behaviour.distrusted_until
            if is_trusted and protocol is not None and protocol.is_connected() and not protocol.should_close:
                return connection
            self._give_back(connection, at)
        return None

    def give(self, connection: Connection) -> None:
        """Take one that has carried a request to its end."""
        self._free.append((connection, time.monotonic()))
        self._look_later()

    def close(self) -> None:
        """Give all back."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._free:
            self._give_back(*self._free.pop())

    def _give_back_idle(self) -> None:
        self._timer = None
        now = time.monotonic()
        while self._free and now - self._free[0][1] > BUSY_SECONDS:
            self._give_back(*self._free.popleft())
        if self._free:
            self._look_later()

    def _look_later(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(BUSY_SECONDS, self._give_back_idle)

    def _give_back(self, connection: Connection, at: float) -> None:
        """Let the pool have it, which closes one that is no good any more."""
        self._behaviour.freed(connection.protocol, at)
        connection.release()

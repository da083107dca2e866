"""Something before a remote, with manners of its own: a relay that speaks HTTP/1.1 as a test has it.

Unlike ``proxy.py``, which breaks requests, it says what the remote answered in another form, or other things.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from .http1 import HEAD_BYTES_MAX, Answer, Head, read_answer, read_body, read_head

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@dataclass(slots=True, kw_only=True)
class Talk:
    """One request of a connection that has ``served`` others."""

    head: Head
    served: int
    front: Front
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @property
    def method(self) -> str:
        """The method."""
        return self.head.line.split(" ")[0]

    @property
    def target(self) -> str:
        """Path and query."""
        return self.head.line.split(" ")[1]

    @property
    def expects(self) -> bool:
        """Whether the client waits for 100 Continue."""
        return bool(self.head.get("expect"))

    async def ask(self, hello: bytes = CONTINUE) -> Answer:
        """Read the body, after ``hello`` where it is asked for, and return the remote's answer."""
        if self.expects:
            await self.say(hello)
        body = await read_body(self.reader, self.head)
        reader, writer = await asyncio.open_connection(*self.front.upstream, limit=HEAD_BYTES_MAX)
        try:
            writer.write(self.head.raw(("Connection", "close")) + body)
            return await read_answer(reader, method=self.method)
        finally:
            writer.close()

    async def say(self, raw: bytes) -> None:
        """Send bytes as they are."""
        self.writer.write(raw)
        await self.writer.drain()

    def reset(self) -> bool:
        """Cut the connection with RST."""
        linger = struct.pack("ii", 1, 0)
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.writer.transport.abort()
        return False


Manner = Callable[[Talk], Awaitable[bool]]  # False ends the connection


@dataclass(slots=True)
class Front:
    """``upstream`` is the remote; ``asked`` are the requests that came, by method and target."""

    upstream: tuple[str, int]
    manner: Manner
    asked: list[str] = field(default_factory=list)
    connections: int = 0
    url: str = ""
    serving: set[asyncio.Task[None]] = field(default_factory=set)  # asyncio itself holds no task

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        self.connections += 1
        if (mine := asyncio.current_task()) is not None:
            self.serving.add(mine)
            mine.add_done_callback(self.serving.discard)
        served = 0
        try:
            while (head := await read_head(reader)) is not None:
                talk = Talk(head=head, served=served, front=self, reader=reader, writer=writer)
                self.asked.append(f"{talk.method} {talk.target}")
                if not await self.manner(talk):
                    break
                served += 1
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client hung up, as it may
        except asyncio.CancelledError:
            pass  # the test is over; asyncio would report it as a failure of the server
        finally:
            writer.close()


@asynccontextmanager
async def front_before(url: str, manner: Manner) -> AsyncIterator[Front]:
    """Stand before a remote."""
    where = urlsplit(url)
    front = Front((where.hostname or "", where.port or 0), manner)
    server = await asyncio.start_server(front.serve, "127.0.0.1", 0, limit=HEAD_BYTES_MAX)
    front.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield front
    finally:
        server.close()
        for one in (left := list(front.serving)):
            one.cancel()
        await asyncio.gather(*left, return_exceptions=True)


async def plain(talk: Talk) -> bool:
    """Answer as the remote does."""
    return await told(talk, await talk.ask())


async def told(talk: Talk, said: Answer) -> bool:
    """Send an answer in its usual form."""
    await talk.say(said.raw())
    return True

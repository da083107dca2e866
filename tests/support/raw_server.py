"""A server of which a test writes every byte: a coroutine for each connection."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class RawServer:
    """Where it listens; ``refuse`` ends that, and nothing that is connected."""

    url: str
    refuse: Callable[[], None]


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def raw_server(serve: Serve, *, buffer_bytes: int = 1 << 16) -> AsyncIterator[RawServer]:
    """Serve each connection so for the block, with such buffers."""
    tasks = set[asyncio.Task[None]]()

    async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await serve(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()

    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
    sock.bind(("127.0.0.1", 0))
    server = await asyncio.start_server(accepted, sock=sock, limit=buffer_bytes)
    try:
        yield RawServer(f"http://127.0.0.1:{sock.getsockname()[1]}", server.close)
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks)


async def asked(reader: asyncio.StreamReader) -> bytes:
    """Read one request; return its body."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = head.partition(b"content-length:")[2].partition(b"\r\n")[0]
    return await reader.readexactly(int(length))


def answer(body: bytes, *, status: bytes = b"200 OK", head: bytes = b"") -> bytes:
    """Return an answer as it goes."""
    return b"HTTP/1.1 %s\r\n%sContent-Length: %d\r\n\r\n%s" % (status, head, len(body), body)

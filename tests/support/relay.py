"""A thin line: a TCP relay that all connections share, with a rate, a round trip, and troubles of some.

It knows nothing of HTTP. What it has taken it carries later, as a line does, so that a round trip costs no
throughput.
"""

from __future__ import annotations

import asyncio
import math
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal

Trouble = Literal["stall", "drip", "break"]
PIECE_BYTES = 4096
BUFFER_BYTES = 16 * 1024
DRIP_BYTES = 500  # each half second


@dataclass(slots=True, kw_only=True)
class Relay:
    """``troubles`` meet, in turn, whichever connection carries the next ``every_bytes``-th byte upwards."""

    upstream: tuple[str, int]
    bytes_per_second: float = math.inf
    round_trip_seconds: float = 0.0
    troubles: list[Trouble] = field(default_factory=list)
    every_bytes: int = 1 << 20
    dark: tuple[float, float] = (math.inf, math.inf)  # from, until: loop time
    port: int = 0
    carried_bytes: int = 0
    _free_at: float = 0.0
    _next: int = 0
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def url(self) -> str:
        """Where to send to."""
        return f"http://127.0.0.1:{self.port}"

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Relay]:
        """Relay for the block; another block has the same port."""
        self._next = self.every_bytes
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", self.port))
        self.port = sock.getsockname()[1]
        server = await asyncio.start_server(self._serve, sock=sock, limit=BUFFER_BYTES, backlog=128)
        try:
            yield self
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        with suppress(OSError, asyncio.CancelledError):
            up_reader, up_writer = await asyncio.open_connection(*self.upstream)
            try:
                async with asyncio.TaskGroup() as both:
                    both.create_task(self._carry(reader, up_writer, client=writer))
                    both.create_task(self._carry(up_reader, writer, client=None))
            except* OSError:
                pass
            finally:
                up_writer.close()
                writer.close()

    async def _carry(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        client: asyncio.StreamWriter | None,
    ) -> None:
        """Take pieces at the line's rate; each arrives half a round trip later."""
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        arriving = asyncio.ensure_future(self._arrive(under_way, writer))
        try:
            take_bytes = PIECE_BYTES
            while piece := await reader.read(take_bytes):
                if client is not None:
                    await self._line(len(piece))
                    if take_bytes == DRIP_BYTES or await self._meet(client) == "drip":
                        take_bytes = DRIP_BYTES
                        await asyncio.sleep(0.5)
                arrival = asyncio.get_running_loop().time() + self.round_trip_seconds / 2
                under_way.put_nowait((arrival, piece))
            under_way.put_nowait((0.0, b""))
            await arriving
        finally:
            arriving.cancel()

    async def _arrive(
        self, under_way: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter
    ) -> None:
        loop = asyncio.get_running_loop()
        while True:
            at, piece = await under_way.get()
            await asyncio.sleep(max(0.0, at - loop.time()))
            if not piece:
                if writer.can_write_eof():
                    writer.write_eof()
                return
            writer.write(piece)
            await writer.drain()

    async def _line(self, size_bytes: int) -> None:
        """Wait for the line, which all share, first come, first served."""
        now = asyncio.get_running_loop().time()
        begin, end = self.dark
        if begin <= now < end:
            self._free_at = max(self._free_at, end)
        self._free_at = max(self._free_at, now) + size_bytes / self.bytes_per_second
        self.carried_bytes += size_bytes
        if self._free_at > now:
            await asyncio.sleep(self._free_at - now)

    async def _meet(self, client: asyncio.StreamWriter) -> Trouble | None:
        if self.carried_bytes < self._next or not self.troubles:
            return None
        self._next += self.every_bytes
        trouble = self.troubles.pop(0)
        if trouble == "stall":
            await asyncio.Event().wait()
        if trouble == "break":
            linger = struct.pack("ii", 1, 0)  # RST instead of FIN
            client.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            client.transport.abort()
            raise ConnectionResetError
        return trouble

"""An HTTP proxy that stands between the daemon and one remote, counts the requests and breaks some.

It is the endpoint that the daemon is configured with; the Host header goes on unchanged, since S3's
signature covers it. Each request goes upstream on a connection of its own, the answer is read whole.
"""

from __future__ import annotations

import asyncio
import math
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

from .faults import FORWARDED, Dialect, Fault
from .http1 import HEAD_BYTES_MAX, Answer, Head, answer, read_answer, read_body, read_head
from .loopthread import LoopThread

DRIP_SECONDS = 0.25
LATE_SECONDS = 2.5


@dataclass(slots=True, kw_only=True)
class Exchange:
    """One request and what became of it. ``status`` is the server's own, None if it was not asked.

    ``body`` is there while it is on its way.
    """

    head: Head
    body: bytes
    operation: str
    fault: Fault | None = None
    status: int | None = None

    @property
    def method(self) -> str:
        """The method."""
        return self.head.line.split(" ")[0]

    @property
    def target(self) -> str:
        """Path and query."""
        return self.head.line.split(" ")[1]


@dataclass(slots=True, kw_only=True)
class Armed:
    """A fault that waits for its request: after ``skip`` others that match, ``times`` times."""

    fault: Fault
    skip: int
    times: float
    operation: str | None
    fired: int = 0

    def takes(self, operation: str) -> bool:
        """Tell whether this request is the one."""
        if self.times < 1 or self.operation not in {None, operation}:
            return False
        if self.skip:
            self.skip -= 1
            return False
        self.times -= 1
        self.fired += 1
        return True


@dataclass(slots=True, kw_only=True)
class Shape:
    """How slow the line is, in both directions. ``slice_bytes`` 0: whole messages."""

    latency_seconds: float = 0.0
    bytes_per_second: float = math.inf
    slice_bytes: int = 0


@dataclass(slots=True)
class FaultProxy:
    """``start`` gives it an address. Methods are for the test's thread."""

    thread: LoopThread
    dialect: Dialect
    upstream: tuple[str, int]
    shape: Shape = field(default_factory=Shape)
    exchanges: list[Exchange] = field(default_factory=list)
    port: int = 0
    _armed: list[Armed] = field(default_factory=list)
    _released: asyncio.Event = field(default_factory=asyncio.Event)
    _server: asyncio.Server | None = None
    _serving: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def url(self) -> str:
        """Where the daemon is sent."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Listen: on any free port, later on the same one again."""
        self.thread.run(self._listen())

    def stop(self) -> None:
        """Refuse connections, and drop those that stand."""
        self.thread.run(self._close())

    def arm(self, fault: Fault, *, nth: int = 1, times: float = 1, operation: str | None = None) -> Armed:
        """Break the ``nth`` request from now on that matches, and so many after it."""
        armed = Armed(fault=fault, skip=nth - 1, times=times, operation=operation)
        self._armed.append(armed)
        return armed

    def clear(self) -> None:
        """Break nothing more; requests that hang go on."""
        self._armed.clear()
        self.thread.loop.call_soon_threadsafe(self._release)

    def _release(self) -> None:
        self._released.set()
        self._released = asyncio.Event()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, limit=HEAD_BYTES_MAX)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
        serving = list(self._serving)
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)

    # -- one connection of the daemon --------------------------------------------------------------

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if (task := asyncio.current_task()) is not None:  # the loop itself would let go of one that hangs
            self._serving.add(task)
            task.add_done_callback(self._serving.discard)
        try:
            while (head := await read_head(reader)) is not None and await self._one(head, reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the daemon hung up, as it may
        except asyncio.CancelledError:
            pass  # the test is over; asyncio would report it as a failure of the server
        finally:
            writer.close()

    async def _one(self, head: Head, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; False ends the connection."""
        exchange = Exchange(head=head, body=b"", operation="")
        exchange.operation = self.dialect.operation(exchange.method, exchange.target, b"")
        early = self._fault_for(exchange.operation) if self.dialect.name == "s3" else None
        if early in {Fault.EARLY_REFUSAL, Fault.RESET_IN_BODY}:
            self._note(exchange, early)
            return await self._early(early, exchange, reader, writer)
        if head.get("expect"):
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        exchange.body = await read_body(reader, head)
        exchange.operation = self.dialect.operation(exchange.method, exchange.target, exchange.body)
        fault = early if self.dialect.name == "s3" else self._fault_for(exchange.operation)
        self._note(exchange, fault)
        await self._travel(len(exchange.body))
        try:
            return await self._carry_out(fault, exchange, writer)
        finally:
            exchange.body = b""  # thousands of them are kept

    def _fault_for(self, operation: str) -> Fault | None:
        return next((armed.fault for armed in list(self._armed) if armed.takes(operation)), None)

    def _note(self, exchange: Exchange, fault: Fault | None) -> None:
        exchange.fault = fault
        self.exchanges.append(exchange)

    async def _early(
        self,
        fault: Fault | None,
        exchange: Exchange,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> bool:
        """Act before the body is read."""
        if fault is Fault.RESET_IN_BODY:
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n" if exchange.head.get("expect") else b"")
            await reader.read(int(exchange.head.get("content-length") or 0) // 2)
            return _reset(writer)
        said = self.dialect.says(Fault.EARLY_REFUSAL, target=exchange.target)
        bodiless = replace(said, body=b"") if exchange.method == "HEAD" else said
        await self._send(writer, bodiless.raw(("Connection", "close")))  # or the next request races with it
        return False

    async def _carry_out(self, fault: Fault | None, exchange: Exchange, writer: asyncio.StreamWriter) -> bool:
        if fault is None or fault in FORWARDED:
            said = await self._ask(exchange)
            if fault is Fault.DUPLICATE:
                await self._ask(exchange)
        else:
            said = answer(200, "OK")
        act = _ACTS.get(fault) if fault else None
        if act is not None:
            return await act(self, exchange, said, writer)
        if fault is not None:
            if fault is not Fault.DUPLICATE:
                said = self.dialect.says(fault, target=exchange.target)
            if exchange.method == "HEAD":
                said = replace(said, body=b"")
        await self._send(writer, said.raw())
        return True

    async def _ask(self, exchange: Exchange) -> Answer:
        """Forward a request and read its answer."""
        reader, writer = await asyncio.open_connection(*self.upstream, limit=HEAD_BYTES_MAX)
        try:
            length = (("Content-Length", str(len(exchange.body))),)
            more = () if exchange.head.get("content-length") else length
            writer.write(exchange.head.raw(("Connection", "close"), *more) + exchange.body)
            said = await read_answer(reader, method=exchange.method)
        finally:
            writer.close()
        exchange.status = said.status
        return said

    async def _send(self, writer: asyncio.StreamWriter, raw: bytes) -> None:
        await self._travel(len(raw))
        step = self.shape.slice_bytes or len(raw)
        for start in range(0, len(raw), max(1, step)):
            writer.write(raw[start : start + step])
            await writer.drain()
            if step < len(raw):
                await asyncio.sleep(0)

    async def _travel(self, size_bytes: int) -> None:
        delay = self.shape.latency_seconds + size_bytes / self.shape.bytes_per_second
        if delay > 0:
            await asyncio.sleep(delay)

    # -- faults that are more than another answer ---------------------------------------------------

    async def _reset(self, _exchange: Exchange, _said: Answer, writer: asyncio.StreamWriter) -> bool:
        return _reset(writer)

    async def _hang_up(self, _exchange: Exchange, _said: Answer, _writer: asyncio.StreamWriter) -> bool:
        return False

    async def _half(self, exchange: Exchange, said: Answer, writer: asyncio.StreamWriter) -> bool:
        raw = said.raw()
        head_bytes = len(raw) - len(said.body)
        keep = head_bytes // 2 if exchange.fault is Fault.HALF_HEAD else head_bytes + len(said.body) // 2
        if keep == len(raw):  # there is no body to halve
            keep -= 3
        await self._send(writer, raw[:keep])
        return False

    async def _garbage(self, _exchange: Exchange, _said: Answer, writer: asyncio.StreamWriter) -> bool:
        await self._send(writer, b"\x16\x03\x01 no HTTP at all\r\n\r\n")
        return False

    async def _drip(self, _exchange: Exchange, said: Answer, writer: asyncio.StreamWriter) -> bool:
        """Send a byte now and then: there is progress for ever, and never an answer."""
        released = self._released
        for byte in said.raw():
            writer.write(bytes([byte]))
            await writer.drain()
            if writer.transport.is_closing():
                return False
            if not released.is_set():
                await asyncio.sleep(DRIP_SECONDS)
        return True

    async def _wrong_etag(self, _exchange: Exchange, said: Answer, writer: asyncio.StreamWriter) -> bool:
        wrong = '"00000000000000000000000000000000"'
        headers = tuple((k, wrong if k.lower() == "etag" else v) for k, v in said.head.headers)
        await self._send(writer, replace(said, head=replace(said.head, headers=headers)).raw())
        return True

    async def _hang(self, exchange: Exchange, _said: Answer, writer: asyncio.StreamWriter) -> bool:
        await self._released.wait()
        await self._send(writer, (await self._ask(exchange)).raw())
        return True

    async def _late(self, exchange: Exchange, _said: Answer, writer: asyncio.StreamWriter) -> bool:
        await asyncio.sleep(LATE_SECONDS)
        await self._send(writer, (await self._ask(exchange)).raw())
        return True


def _reset(writer: asyncio.StreamWriter) -> bool:
    """Send RST instead of FIN."""
    linger = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()
    return False


_Act = Callable[[FaultProxy, Exchange, Answer, asyncio.StreamWriter], Awaitable[bool]]
_ACTS: dict[Fault, _Act] = {
    Fault.RESET_BEFORE: FaultProxy._reset,
    Fault.RESET_IN_BODY: FaultProxy._reset,
    Fault.RESET_AFTER: FaultProxy._reset,
    Fault.CLOSE_AFTER: FaultProxy._hang_up,
    Fault.HALF_REPLY: FaultProxy._half,
    Fault.HALF_HEAD: FaultProxy._half,
    Fault.GARBAGE: FaultProxy._garbage,
    Fault.SLOW_DRIP: FaultProxy._drip,
    Fault.WRONG_ETAG: FaultProxy._wrong_etag,
    Fault.HANG: FaultProxy._hang,
    Fault.LATE: FaultProxy._late,
}

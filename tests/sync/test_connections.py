"""What connections do to calls, byte by byte: they speak while idle, break, hang, and are closed by us."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import pytest

from sidecar.core.clock import RemoteClock, SystemClock
from sidecar.core.errors import ErrorKind, SidecarError
from sidecar.sync.exchange import Exchange
from sidecar.sync.http import CONNECTIONS_MAX, open_http
from tests.support.outside import Authority
from tests.support.raw_server import RawServer, Serve, answer, asked, raw_server

LIMIT_SECONDS = 0.5
HEAD = b"HTTP/1.1 200 OK\r\nSet-Cookie: session=hidden\r\nX-Secret: hidden\r\n"


class Caller:
    """Makes calls one by one."""

    def __init__(self, exchange: Exchange, server: RawServer) -> None:
        self._exchange, self.server = exchange, server

    async def __call__(self, body: bytes = b"{}") -> tuple[int, bytes]:
        """Return status and body of the answer."""
        reply = await self._exchange.post("/", body, {}, seconds=LIMIT_SECONDS, target="t")
        return reply.status, reply.body

    async def failure(self, body: bytes = b"{}") -> SidecarError:
        """Return what a call raises."""
        with pytest.raises(SidecarError) as caught:
            await self(body)
        return caught.value


@asynccontextmanager
async def calling(serve: Serve, *, scheme: str = "http") -> AsyncIterator[Caller]:
    """Serve for the block; return what calls."""
    async with (
        raw_server(serve) as server,
        open_http(server.url.replace("http", scheme, 1), version="1") as http,
    ):
        yield Caller(Exchange(http, RemoteClock(SystemClock())), server)


SAID_WHILE_IDLE = {
    "a success": answer(b"not yours"),
    "408": answer(b"", status=b"408 Request Timeout", head=b"Connection: close\r\n"),
    "400": answer(b"", status=b"400 Bad Request", head=b"Connection: close\r\n"),
    "503": answer(b"", status=b"503 Service Unavailable"),
    "half of a 503": answer(b"more than comes", status=b"503 Service Unavailable")[:-5],
}


@pytest.mark.parametrize("said", SAID_WHILE_IDLE.values(), ids=SAID_WHILE_IDLE.keys())
async def test_what_a_connection_says_while_it_idles_is_nobodys_answer(said: bytes) -> None:
    """The call is made, on another connection, and has its own answer."""
    bodies, has_said = list[bytes](), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            bodies.append(await asked(reader))
            writer.write(answer(b"yours"))
            if not has_said.is_set():
                await asyncio.sleep(0.05)
                writer.write(said)
                has_said.set()

    async with calling(serve) as call:
        assert await call(b"one") == (200, b"yours")
        await has_said.wait()
        await asyncio.sleep(0.05)
        assert await call(b"two") == (200, b"yours")
    assert bodies == [b"one", b"two"]


async def test_what_may_have_been_carried_out_is_said_although_the_next_attempt_was_refused() -> None:
    """A kept connection takes a whole request and breaks; then nobody listens any more."""
    refuse = list[Callable[[], None]]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asked(reader)
        writer.write(answer(b"{}"))
        await asked(reader)
        refuse[0]()

    async with calling(serve) as call:
        refuse.append(call.server.refuse)
        await call()
        error = await call.failure()
    assert (error.kind, error.maybe_done) == (ErrorKind.NETWORK, True)
    assert error.message.startswith("no connection: ")


async def test_a_call_that_hangs_on_its_next_connection_has_no_time_of_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its body was handed to one that broke; the next one says nothing when TLS begins."""
    authority = Authority(tmp_path)
    context = authority.server_context("127.0.0.1")
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.pem))
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        if connections > 1:
            await asyncio.sleep(60)
        await writer.start_tls(context)
        await asked(reader)
        writer.write(answer(b"{}"))
        await asked(reader)

    async with calling(serve, scheme="https") as call, asyncio.timeout(20):
        await call()
        error = await call.failure(bytes(200_000))
    assert (error.code, error.maybe_done, connections) == ("Stalled", True, 2)


async def test_a_handshake_in_two_slow_steps_moves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither takes as long as the limit."""
    authority = Authority(tmp_path)
    context = authority.server_context("127.0.0.1")
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.pem))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        cast(
            "asyncio.Transport", writer.transport
        ).pause_reading()  # else the client's first word would be read as if it were plain
        await asyncio.sleep(1.4 * LIMIT_SECONDS)
        await writer.start_tls(context)
        await asked(reader)
        writer.write(answer(b"{}"))
        await asyncio.sleep(60)

    async with calling(serve, scheme="https") as call:
        assert await call() == (200, b"{}")


@pytest.mark.parametrize("said", [HEAD, b"garbage\r\nX: hidden\r\n\r\n", b"HTTP/1.1 2\xff \xfe\r\n\r\n", b""])
async def test_what_is_no_answer_is_not_shown(said: bytes) -> None:
    """One sentence, whatever the bytes; a head may hold what is nobody's business."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asked(reader)
        writer.write(said)
        await writer.drain()

    async with calling(serve) as call:
        error = await call.failure()
    assert (error.kind, error.maybe_done) == (ErrorKind.NETWORK, True)
    assert "\n" not in error.message
    assert error.message.encode()
    assert "hidden" not in str(error)


async def test_a_front_may_add_a_long_header() -> None:
    """As those do that say by which rules they let an answer pass."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asked(reader)
        writer.write(answer(b"{}", head=b"X-Policy: " + b"x" * 20_000 + b"\r\n"))
        await asyncio.sleep(60)

    async with calling(serve) as call:
        assert await call() == (200, b"{}")


async def test_calls_that_wait_when_all_is_closed_fail_as_calls_do() -> None:
    """Nobody cancelled them."""

    async def serve(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    async with raw_server(serve) as server:
        async with open_http(server.url, version="1") as http:
            call = Caller(Exchange(http, RemoteClock(SystemClock())), server)
            calls = [asyncio.ensure_future(call()) for _ in range(CONNECTIONS_MAX + 2)]
            await asyncio.sleep(0.1)
        failures = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(failure) for failure in failures} == {SidecarError}


@pytest.mark.parametrize("host", ["a" * 64 + ".example", "foo..convex.invalid", "no.such.host.invalid"])
async def test_a_name_that_is_none_is_said_to_be_one(host: str) -> None:
    """Nothing was sent."""
    async with open_http(f"http://{host}", version="1") as http:
        exchange = Exchange(http, RemoteClock(SystemClock()))
        with pytest.raises(SidecarError) as caught:
            await exchange.post("/", b"{}", {}, seconds=10, target="t")
    assert (caught.value.kind, caught.value.maybe_done) == (ErrorKind.NETWORK, False)
    assert "host name" in (caught.value.hint or "")

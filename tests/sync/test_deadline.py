"""What moves a call, on the wire: what the other side has acknowledged, not what lies in our buffers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from sidecar.connections import tcp_info
from sidecar.core.clock import RemoteClock, SystemClock
from sidecar.core.errors import SidecarError
from sidecar.sync import deadline
from sidecar.sync.deadline import Deadline, TooSlowError
from sidecar.sync.exchange import Exchange, Reply
from sidecar.sync.http import open_http
from tests.support.raw_server import Serve, answer, asked, raw_server

LIMIT_SECONDS = 0.5
BODY = bytes(1_500_000)  # more than the buffers of both sides
BUFFER_BYTES = 16 * 1024


@asynccontextmanager
async def calling(serve: Serve) -> AsyncIterator[Callable[[bytes], Awaitable[Reply]]]:
    """Serve for the block, with small buffers; return what sends a body."""
    async with (
        raw_server(serve, buffer_bytes=BUFFER_BYTES) as server,
        open_http(server.url, version="1") as http,
    ):
        exchange = Exchange(http, RemoteClock(SystemClock()))
        yield lambda body: exchange.post("/", body, {}, seconds=LIMIT_SECONDS, target="t")


def taking(bytes_per_second: float, *, most_bytes: int | None = None) -> Serve:
    """Take a body and answer; or take so much of it at most, and then stand still."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        taken = 0
        while taken < min(most_bytes or len(BODY), len(BODY)):
            piece = await reader.read(BUFFER_BYTES)
            taken += len(piece)
            await asyncio.sleep(len(piece) / bytes_per_second)
        if most_bytes is not None:
            await asyncio.sleep(60)
        writer.write(answer(b"{}"))
        await writer.drain()

    return serve


async def _took(call: Callable[[], Awaitable[object]]) -> float:
    begun = time.monotonic()
    await call()
    return time.monotonic() - begun


async def test_a_body_takes_as_long_as_the_other_side_takes_of_it() -> None:
    """Several times the limit, without a step that our own side would see."""
    async with calling(taking(1_000_000)) as post:
        seconds = await _took(lambda: post(BODY))
    assert seconds > 2 * LIMIT_SECONDS


@pytest.mark.parametrize(
    "most_bytes", [1, 300_000, 2 * len(BODY)], ids=["at once", "later", "once it is out"]
)
async def test_what_stands_still_is_given_up(most_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much of it lies in the buffers of this machine, or of a proxy that was given its time."""
    monkeypatch.setattr(deadline, "REST_BYTES_PER_SECOND", 2 * deadline.REST_BYTES)  # half a second
    async with calling(taking(10_000_000, most_bytes=most_bytes)) as post, asyncio.timeout(20):
        with pytest.raises(SidecarError) as caught:
            await post(BODY)
        assert caught.value.code == "Stalled"


async def test_where_the_kernel_does_not_tell_a_body_is_given_its_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What has left our own buffers counts, and some of the rest may lie in the kernel."""
    monkeypatch.setattr(tcp_info, "_TCP_INFO", None)
    async with calling(taking(1_000_000)) as post:
        await post(BODY)
    monkeypatch.setattr(deadline, "REST_BYTES_PER_SECOND", deadline.UNTOLD_BYTES)  # a second
    async with calling(taking(10_000_000, most_bytes=2 * len(BODY))) as post, asyncio.timeout(20):
        with pytest.raises(SidecarError, match="no answer within"):
            await post(BODY)


async def test_a_proxy_that_has_taken_all_is_given_time_to_carry_it_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At a pace, and for so much as proxies take ahead."""
    monkeypatch.setattr(deadline, "REST_BYTES_PER_SECOND", deadline.REST_BYTES)  # a second

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asked(reader)
        await asyncio.sleep(2 * LIMIT_SECONDS)
        writer.write(answer(b"{}"))
        await writer.drain()

    async with calling(serve) as post:
        await post(bytes(100_000))
        with pytest.raises(SidecarError, match="no answer within"):
            await post(bytes(100))


async def test_somebody_elses_cancellation_is_theirs() -> None:
    """A drain that ends a call hears of no time limit."""

    async def call() -> None:
        with Deadline(60):
            await asyncio.sleep(60)

    task = asyncio.ensure_future(call())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_what_comes_of_an_answer_moves_a_call_and_a_drip_ends_it() -> None:
    """In all it may take a multiple of the limit, and a second for each KiB."""
    begun = time.monotonic()
    with pytest.raises(TooSlowError):
        await _dripping(0.2)
    assert time.monotonic() - begun > deadline.TOTAL_TIMES * 0.2


async def _dripping(limit_seconds: float) -> None:
    with Deadline(limit_seconds) as progress:
        while True:
            await asyncio.sleep(limit_seconds / 4)
            progress.moved(10)


async def test_a_call_that_hangs_in_closing_what_it_has_is_ended_once_more() -> None:
    """As one does whose library waits for a connection to close that never stood."""

    async def hanging() -> None:
        with Deadline(0.1):
            try:
                await asyncio.sleep(60)
            finally:
                await asyncio.sleep(60)

    async with asyncio.timeout(20):
        with pytest.raises(TimeoutError):
            await hanging()
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0

"""Whether a connection that was kept is used again where the event loop has not heard yet that it was cut."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from yarl import URL

from sidecar.upload.s3.at_hand import ConnectionsAtHand
from sidecar.upload.s3.connection import BUSY_SECONDS, DeadConnectionError, ServerBehaviour


@asynccontextmanager
async def kept() -> AsyncIterator[tuple[ServerBehaviour, ResponseHandler, socket.socket]]:
    """Have a connection that carried a request, and its other end."""
    ours, theirs = socket.socketpair()
    loop, behaviour = asyncio.get_running_loop(), ServerBehaviour()
    transport, protocol = await loop.create_connection(lambda: ResponseHandler(loop), sock=ours)
    try:
        assert not behaviour.take(protocol), "nothing went over it before"
        yield behaviour, protocol, theirs
    finally:
        transport.close()
        theirs.close()


async def test_one_that_was_cut_is_found_out_before_anything_is_sent() -> None:
    """After a pause; one whose end was not said counts as idle."""
    async with kept() as (behaviour, protocol, theirs):
        behaviour.freed(protocol, time.monotonic() - 1.0)
        assert behaviour.take(protocol)
        theirs.close()
        with pytest.raises(DeadConnectionError):
            behaviour.take(protocol)
    async with kept() as (behaviour, protocol, theirs):
        theirs.close()
        with pytest.raises(DeadConnectionError):
            behaviour.take(protocol)


async def test_one_that_says_what_nobody_asked_is_not_used() -> None:
    """It was meant for somebody else."""
    async with kept() as (behaviour, protocol, theirs):
        theirs.send(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
        with pytest.raises(DeadConnectionError):
            behaviour.take(protocol)


async def test_one_that_was_in_use_a_moment_ago_is_used_without_a_look() -> None:
    """Looking costs more than a cut within that moment, which would come under a request as well."""
    async with kept() as (behaviour, protocol, theirs):
        behaviour.freed(protocol, time.monotonic())
        theirs.close()
        assert behaviour.take(protocol)


async def test_after_one_that_was_dead_no_other_is_trusted() -> None:
    """For some seconds, however short its pause."""
    async with kept() as (behaviour, protocol, _):
        behaviour.freed(protocol, time.monotonic())
        behaviour.distrust()
        with pytest.raises(DeadConnectionError):
            behaviour.take(protocol)


@asynccontextmanager
async def pool() -> AsyncIterator[
    tuple[ServerBehaviour, ConnectionsAtHand, Callable[[], Awaitable[Connection]]]
]:
    """Have what keeps connections at hand, and a pool with room for one, to a server that is mute."""
    behaviour = ServerBehaviour()
    at_hand = ConnectionsAtHand(behaviour)

    ends = list[asyncio.StreamWriter]()
    async with (
        await asyncio.start_server(lambda _, end: ends.append(end), "127.0.0.1", 0) as server,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as session,
    ):
        url = URL(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        request = aiohttp.ClientRequest("PUT", url, loop=asyncio.get_running_loop(), session=session)

        async def connect() -> Connection:
            assert session.connector is not None
            async with asyncio.timeout(20 * BUSY_SECONDS):
                made = await session.connector.connect(request, traces=[], timeout=session.timeout)
            assert made.protocol is not None
            behaviour.take(made.protocol)
            return made

        yield behaviour, at_hand, connect
        at_hand.close()
        await session.close()
        for end in ends:
            end.close()
            await end.wait_closed()


async def test_what_is_at_hand_is_used_at_once_and_belongs_to_the_pool_after_a_moment() -> None:
    """Whoever waits for room has it then."""
    async with pool() as (_, at_hand, connect):
        first = await connect()
        protocol = first.protocol
        at_hand.give(first)
        assert at_hand.take() is first
        assert at_hand.take() is None
        at_hand.give(first)
        again = await connect()
        assert again.protocol is protocol
        assert at_hand.take() is None
        again.release()


@pytest.mark.parametrize("why", ["distrusted", "idle", "closed", "spoken to"])
async def test_what_is_not_as_it_was_is_not_at_hand(why: str) -> None:
    """The pool sees to it."""
    async with pool() as (behaviour, at_hand, connect):
        first = await connect()
        at_hand.give(first)
        protocol = first.protocol
        assert protocol is not None
        if why == "distrusted":
            behaviour.distrust()
        elif why == "idle":
            at_hand._free[0] = (first, time.monotonic() - 2 * BUSY_SECONDS)
        elif why == "closed":
            protocol.transport.close()  # type: ignore[union-attr] # it is there
        else:
            protocol.data_received(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
        assert at_hand.take() is None
        assert first.protocol is None, "the pool has it"

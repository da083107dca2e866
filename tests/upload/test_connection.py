"""Whether a connection that was kept is used again where the event loop has not heard yet that it was cut."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp.client_proto import ResponseHandler

from sidecar.upload.s3.connection import DeadConnectionError, ServerBehaviour


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
        behaviour.freed(protocol)
        behaviour.used[protocol].free_at -= 1.0
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
        behaviour.freed(protocol)
        theirs.close()
        assert behaviour.take(protocol)


async def test_after_one_that_was_dead_no_other_is_trusted() -> None:
    """For some seconds, however short its pause."""
    async with kept() as (behaviour, protocol, _):
        behaviour.freed(protocol)
        behaviour.distrust()
        with pytest.raises(DeadConnectionError):
            behaviour.take(protocol)

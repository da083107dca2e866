"""Servers that answer out of malice or madness: an error of ours, in bounded time and memory."""

from __future__ import annotations

import asyncio
import time
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from sidecar.core.clock import SystemClock
from sidecar.core.errors import ErrorKind, SidecarError
from sidecar.local.ports import free_port
from sidecar.settings.convex import Convex
from sidecar.sync.convex import open_store as open_convex
from sidecar.upload.s3.credentials import Keys
from sidecar.upload.s3.endpoint import S3Config
from sidecar.upload.s3.object_store import S3Store, open_store
from sidecar.upload.store import Body, ObjectSpec
from tests.support.memory_store import checksum_of

MIB = 1024 * 1024
MEMORY_BYTES_MAX = 120 * MIB
SECONDS_MAX = 10.0
LISTING = b'<?xml version="1.0"?><ListMultipartUploadsResult>'
ENTITIES = b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a0 "aaaaaaaaaaaaaaaa">' + b"".join(
    b'<!ENTITY a%d "%s">' % (n, b"&a%d;" % (n - 1) * 10) for n in range(1, 12)
)
Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def speaking(answer: Answer) -> AsyncIterator[str]:
    """Accept connections, read a request's head, and say what a test wants, byte for byte."""

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                await answer(writer)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client has had enough
        finally:
            writer.close()

    port = free_port()
    server = await asyncio.start_server(converse, "127.0.0.1", port)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.close()
        await server.wait_closed()


@asynccontextmanager
async def store_at(url: str) -> AsyncIterator[S3Store]:
    """Open the S3 adapter on a server."""
    keys = Keys(access_key_id="a", secret_access_key="b")
    config = S3Config(bucket="lessons", region="us-east-1", endpoint_url=url, keys=lambda: keys)
    async with open_store(config, clock=SystemClock(), connections=4) as store:
        yield store


def whole(body: bytes, *, status: str = "200 OK", chunk: int = MIB) -> Answer:
    """Answer with this body."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode())
        for start in range(0, len(body), chunk):
            writer.write(body[start : start + chunk])
            await writer.drain()

    return answer


def endless(head: bytes, piece: bytes) -> Answer:
    """Answer without end, as fast as it is read."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        while True:
            writer.write(piece)
            await writer.drain()

    return answer


def chunked(data: bytes) -> bytes:
    """Return a chunk of a chunked body."""
    return b"%x\r\n%s\r\n" % (len(data), data)


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
FLOODS = {
    "an endless body": endless(CHUNKED, chunked(b"x" * MIB)),
    "endless XML": endless(CHUNKED + chunked(LISTING), chunked(b"<Upload><Key>k</Key></Upload>" * 1000)),
    "an endless error": endless(
        b"HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n", chunked(b"x" * MIB)
    ),
    "endless headers": endless(b"HTTP/1.1 200 OK\r\n", b"X-More: and more\r\n" * 1000),
    "one endless header": endless(b"HTTP/1.1 200 OK\r\nX-More: ", b"x" * MIB),
    "an endless status line": endless(b"HTTP/1.1 200 ", b"O" * MIB),
    "endless chunk extensions": endless(CHUNKED + b"1;", b"x" * MIB),
    "seven megabytes of elements": whole(
        LISTING + b"<a/>" * (7 * MIB // 4) + b"</ListMultipartUploadsResult>"
    ),
    "elements in elements": whole(LISTING + b"<Upload>" * 100_000),
    "entities in entities": whole(
        ENTITIES + b"]><ListMultipartUploadsResult>&a11;</ListMultipartUploadsResult>"
    ),
    "more than there is": endless(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999\r\n\r\n", b"<" * MIB),
    "no XML": whole(b"\0\xff" * 1000),
    "no HTTP": whole(b"", status="nonsense\r\n\r\n"),
}


BOUNDED = {"an endless body", "endless XML", "an endless error"}


async def _costs(attempt: Callable[[], Awaitable[object]]) -> SidecarError:
    """Return the error of an attempt, which must be ours, soon, and cheap."""
    began = time.monotonic()
    tracemalloc.start()
    try:
        with pytest.raises(SidecarError) as raised:
            async with asyncio.timeout(SECONDS_MAX):  # what reads for ever is ended here
                await attempt()
        assert tracemalloc.get_traced_memory()[1] < MEMORY_BYTES_MAX
    finally:
        tracemalloc.stop()
    assert time.monotonic() - began < SECONDS_MAX
    assert len(str(raised.value)) < 5000
    return raised.value


async def _listing(store: S3Store) -> None:
    async for _ in store.open_uploads(prefix=""):
        pass


async def _sending(store: S3Store) -> None:
    spec = ObjectSpec(bucket="lessons", key="k", content_type="a/b", cache_control=None, metadata={})
    await store.put(
        spec, Body(fd=-1, offset_bytes=0, length_bytes=10, data=b"0123456789"), checksum=checksum_of(b"")
    )


@pytest.mark.parametrize("attempt", [_listing, _sending])
@pytest.mark.parametrize("flood", FLOODS)
async def test_no_answer_of_s3_costs_more_than_it_may(
    flood: str, attempt: Callable[[S3Store], Awaitable[None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is said, the listing of open uploads ends with an error that the journal can decide on.

    So does a file's way, which is another client's.
    """
    seconds = 2 * SECONDS_MAX if flood in BOUNDED else 1.0  # not by time, but by its size
    monkeypatch.setattr("sidecar.upload.s3.calls.STALL_SECONDS", seconds)
    async with speaking(FLOODS[flood]) as url, store_at(url) as store:
        error = await _costs(lambda: attempt(store))
    assert error.kind in {ErrorKind.NETWORK, ErrorKind.UNKNOWN}


CONVEX = {
    "endless": endless(CHUNKED, chunked(b"x" * MIB)),
    "endless headers": endless(b"HTTP/1.1 200 OK\r\n", b"X-More: and more\r\n" * 1000),
    "one endless header": endless(b"HTTP/1.1 200 OK\r\nX-More: ", b"x" * MIB),
    "lists": whole(b'{"status":"success","value":[' + b"[]," * (MIB // 4) + b"[]]}"),
    "digits": whole(b'{"status":"success","value":{"contractVersion":' + b"1" * MIB + b"}}"),
    "an endless sentence": whole(b'{"status":"error","errorMessage":"' + b"x" * (3 * MIB) + b'"}'),
    "objects in objects": whole(b'{"status":' * 300_000),
    "half a character": whole(b'{"status":"error","errorMessage":"\\uD800 \\udc00","errorData":"\\udfff"}'),
}


@pytest.mark.parametrize("flood", CONVEX)
async def test_no_answer_of_convex_costs_more_than_it_may(flood: str) -> None:
    """A megabyte of digits, a million lists, a sentence that would fill the log."""
    settings = Convex.model_validate({"url": "http://127.0.0.1:1", "auth": {"mode": "none"}, "timeout": 5.0})
    async with speaking(CONVEX[flood]) as url:
        at = settings.model_copy(update={"url": url})
        async with open_convex(at, sidecar_id="s", clock=SystemClock(), version="1") as store:
            error = await _costs(store.probe)
    assert error.kind in {ErrorKind.NETWORK, ErrorKind.UNKNOWN, ErrorKind.NOT_FOUND}
    str(error).encode()  # the journal keeps it, and the log prints it

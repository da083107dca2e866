"""How well `upload.bandwidth` is kept: `python -m tests.bench.bandwidth [SECONDS]`. Not part of the test run.

The real client sends parts of 8 MiB and thumbnails of 50 KiB side by side to a sink of ours, a process of its
own that reads as fast as it can. It counts what its connections bring, heads of requests included. Printed is
that by the limit, over SECONDS (10): 1.05 would be 5 % too fast.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import socket
import sys
import tempfile
import time
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Any

from sidecar.core.clock import SystemClock
from sidecar.core.model import MIB
from sidecar.core.upload_order import Rank
from sidecar.files import checksum_of
from sidecar.upload.limits import Bandwidth, MemoryBudget
from sidecar.upload.s3.credentials import Keys
from sidecar.upload.s3.endpoint import S3Config
from sidecar.upload.s3.object_store import S3Store, open_store
from sidecar.upload.store import Body, ObjectSpec, OpenUpload

KIB, MB = 1024, 1_000_000
RATES = (256 * KIB, MB, 5 * MB, 20 * MB, 50 * MB, 100 * MB)
PART_BYTES, SMALL_BYTES, CONNECTIONS, SMALL_AT_ONCE = 8 * MIB, 50 * KIB, 40, 8
SETTLED_SECONDS = 2.0  # until the buffers on the way are full


class Sink(asyncio.Protocol):
    """Takes every request for one that succeeded; counts what comes."""

    def __init__(self, count: Synchronized[int]) -> None:
        """``count`` is shared with whoever reads it."""
        self._count, self._head, self._left = count, b"", 0
        self._answer = b""

    def connection_made(self, transport: Any) -> None:
        """Begin."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Read heads and bodies; answer each at its end."""
        with self._count.get_lock():
            self._count.value += len(data)
        while data:
            if self._left:
                taken, data = data[: self._left], data[self._left :]
                self._left -= len(taken)
                if not self._left:
                    self._transport.write(self._answer)
                continue
            head, end, data = (self._head + data).partition(b"\r\n\r\n")
            self._head = b"" if end else head
            if end:
                self._begin(head)

    def _begin(self, head: bytes) -> None:
        said = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        if said.get(b"expect"):
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._left = int(said[b"content-length"])
        checksum = next(
            line for line in head.split(b"\r\n") if line.lower().startswith(b"x-amz-checksum-crc64")
        )
        self._answer = b'HTTP/1.1 200 OK\r\nETag: "e"\r\nContent-Length: 0\r\n%s\r\n\r\n' % checksum


def serve(listening: socket.socket, count: Synchronized[int]) -> None:
    """Be the sink."""

    async def run() -> None:
        server = await asyncio.get_running_loop().create_server(lambda: Sink(count), sock=listening)
        await server.serve_forever()

    asyncio.run(run())


async def send(store: S3Store, budget: MemoryBudget, folder: Path) -> None:
    """Send parts of films and thumbnails for ever."""
    part, small = written(folder / "part", PART_BYTES), written(folder / "small", SMALL_BYTES)

    async def parts(film: int) -> None:
        upload = OpenUpload(key=f"film-{film}", upload_id="u")
        while True:
            async with budget.claim(PART_BYTES, Rank(priority=3, is_large=True, is_fresh=True, number=film)):
                await store.put_part(upload, part, number=1)

    async def thumbnails(number: int) -> None:
        while True:
            async with budget.claim(
                SMALL_BYTES, Rank(priority=0, is_large=False, is_fresh=True, number=number)
            ):
                await store.put(spec(f"thumb-{number}"), small, checksum=small.checksum or "")
            await asyncio.sleep(0.25)

    async with asyncio.TaskGroup() as group:
        for film in range(7):
            group.create_task(parts(film))
        for number in range(SMALL_AT_ONCE):
            group.create_task(thumbnails(number))


async def measured(rate: int, port: int, count: Synchronized[int], folder: Path, seconds: float) -> str:
    """Send at a rate; return what was kept of it, and the CPU time of the client."""
    clock, keys = SystemClock(), Keys(access_key_id="a", secret_access_key="s")
    config = S3Config(
        bucket="b", region="us-east-1", endpoint_url=f"http://127.0.0.1:{port}", keys=lambda: keys
    )
    throttle = Bandwidth(rate, clock=clock).take
    async with open_store(config, clock=clock, connections=CONNECTIONS, throttle=throttle) as store:
        sending = asyncio.create_task(send(store, MemoryBudget(64 * MIB, turn=store.uplink.turn), folder))
        await asyncio.sleep(SETTLED_SECONDS)
        began, before, used = time.monotonic(), count.value, time.process_time()
        await asyncio.sleep(seconds)
        spent, came, used = time.monotonic() - began, count.value - before, time.process_time() - used
        failed = sending.done() and sending.exception()
        sending.cancel()
        await asyncio.wait({sending})
    if failed:
        raise SystemExit(repr(failed))
    return f"{rate / MB:7.2f} MB/s: {came / spent / rate:.3f} of it, {100 * used / spent:.0f} % of a core"


def spec(key: str) -> ObjectSpec:
    """Return what is said of an object."""
    return ObjectSpec(bucket="b", key=key, content_type="image/png", cache_control=None, metadata={})


def written(path: Path, size: int) -> Body:
    """Return a body of a new file."""
    path.write_bytes(bytes(size))
    fd = os.open(path, os.O_RDONLY)
    return Body(fd=fd, offset_bytes=0, length_bytes=size, checksum=checksum_of(fd, 0, size))


def main() -> None:
    """Print a line for each rate."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
    context = multiprocessing.get_context("fork")
    count = context.Value("q", 0)
    listening = socket.create_server(("127.0.0.1", 0))
    sink = context.Process(target=serve, args=[listening, count], daemon=True)
    sink.start()
    with tempfile.TemporaryDirectory() as folder:
        for rate in RATES:
            found = asyncio.run(measured(rate, listening.getsockname()[1], count, Path(folder), seconds))
            sys.stdout.write(f"{found}\n")
            sys.stdout.flush()
    sink.terminate()
    sink.join()


if __name__ == "__main__":
    main()

"""Feeds the bytes of a ``Body`` to aiohttp as it pulls them: reads a little, sends it, reads on.

A slow link holds the reading back, so a part on its way costs one chunk of memory. A file that was just
rendered, and just read to be fingerprinted, is in the kernel's memory: from there it is read at once, which
costs less than half of what a thread for each chunk does. What is not there is read by a thread.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import NoReturn

from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import Payload

from sidecar.files import READ_BYTES, TruncatedError
from sidecar.upload.store import Body

from .call import Call

EXPECT_BYTES = 256 * 1024  # larger bodies ask first, so that a refusal is read
THREAD_BYTES = 256 * 1024  # read at once by a thread
TURN_CHUNKS = 4  # read without a pause; then the others have their turn
THROTTLED_BYTES = 32 * 1024  # S3 hangs up on a body that pauses for 20 s, as under a narrow limit of ours
_NO_WAIT = getattr(os, "RWF_NOWAIT", None)  # Linux has it


class RangePayload(Payload):
    """A range of a file as a request's body.

    botocore asks its length and never reads it (the payload is not part of the signature). ``failure``
    keeps our own error, because aiohttp reports every failure of a body as one of the connection.
    ``is_sent``: S3 may have all of it. It may be sent more than once, one time after the other.
    """

    def __init__(self, body: Body, *, call: Call, throttle: Callable[[int], Awaitable[None]] | None) -> None:
        """``call`` hears of what goes; ``throttle`` is awaited with the size of each chunk before it goes."""
        super().__init__(body, content_type="application/octet-stream")
        self._body = body
        self._size = body.length_bytes
        self._call, self._throttle = call, throttle
        self._chunks = 0
        self.failure: OSError | None = None
        self.is_sent = False

    def __len__(self) -> int:
        """Return the length in bytes, for Content-Length."""
        return self._body.length_bytes

    def __bool__(self) -> bool:
        """Return True: an empty body is still a body."""
        return True

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Send the range, in chunks; the event loop waits for no disk."""
        self._call.on(getattr(writer, "transport", None))
        most = THROTTLED_BYTES if self._throttle else THREAD_BYTES
        self.is_sent = self._body.length_bytes == 0
        offset, end = self._body.offset_bytes, self._body.offset_bytes + self._body.length_bytes
        while offset < end:
            size = min(most, end - offset)
            if self._throttle:
                await self._call.throttled(self._throttle(size))
            data = self._known(size, offset) or await self._next(size, offset)
            offset += len(data)
            self.is_sent = offset >= end
            self._call.wrote(len(data))
            await writer.write(data)
        self._call.wrote(0)

    def _known(self, size: int, offset: int) -> bytes:
        data = self._body.data or b""
        if size == len(data):
            return data
        begin = offset - self._body.offset_bytes
        return data[begin : begin + size]

    async def _next(self, size: int, offset: int) -> bytes | bytearray:
        """Read on: at once what is in the kernel's memory. Raises OSError."""
        data = _in_memory(self._body.fd, min(size, READ_BYTES), offset)
        if not data:
            return await asyncio.get_running_loop().run_in_executor(None, self._read, size, offset)
        self._chunks += 1
        if self._chunks % TURN_CHUNKS == 0:
            await asyncio.sleep(0)
        return data

    def _read(self, size: int, offset: int) -> bytes:
        try:
            data = os.pread(self._body.fd, size, offset)
            if not data:
                raise TruncatedError(f"the file ends at {offset} bytes")
        except OSError as error:
            self.failure = error
            raise
        return data

    def read(self, _size: int = -1) -> NoReturn:
        """Refuse: botocore takes what has ``read`` for a file, and must not read this one."""
        raise NotImplementedError

    def seek(self, _offset: int, _whence: int = 0) -> NoReturn:
        """Refuse: the signer takes what has ``seek`` as it is, and leaves an unsigned payload alone."""
        raise NotImplementedError

    def decode(self, _encoding: str = "utf-8", _errors: str = "strict") -> NoReturn:
        """Refuse: video is not text."""
        raise NotImplementedError


def _in_memory(fd: int, size: int, offset: int) -> bytearray:
    """Return a range if the kernel has all of it in memory; nothing where it has not, or cannot tell."""
    if _NO_WAIT is None:
        return bytearray()
    room = bytearray(size)
    try:
        count = os.preadv(fd, [room], offset, _NO_WAIT)
    except OSError:  # it would have to wait, or does not know; whoever reads in earnest says what is wrong
        count = 0
    return room if count == size else bytearray()

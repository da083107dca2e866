"""A server where nobody of ours has any business: it answers 200 to all and keeps what it was told."""

from __future__ import annotations

import asyncio

from .http1 import HEAD_BYTES_MAX
from .loopthread import LoopThread


class Canary:
    """``heard`` is every byte that ever arrived."""

    def __init__(self, thread: LoopThread) -> None:
        """Listen on a free port."""
        self.heard = bytearray()
        self._thread = thread
        self._server = thread.run(asyncio.start_server(self._serve, "127.0.0.1", 0, limit=HEAD_BYTES_MAX))
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def stop(self) -> None:
        """Listen no more."""
        self._thread.loop.call_soon_threadsafe(self._server.close)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(HEAD_BYTES_MAX):
                self.heard += data
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        except (ConnectionError, asyncio.CancelledError):
            pass  # it hung up, or the test is over
        finally:
            writer.close()

"""``delay.c`` in plain Python, for machines without a compiler: ``slow_line LISTEN_PORT TARGET_PORT MS``."""

from __future__ import annotations

import asyncio
import sys
import time

import uvloop

from sidecar.local.ports import LOOPBACK

_PIECE_BYTES = 128 * 1024
_PIECES_MAX = 48  # of a direction, under way: 6 MiB


async def serve(listen: int, target: int, rtt_seconds: float) -> None:
    """Serve for ever."""

    async def joined(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(rtt_seconds)  # as a handshake takes
        far_reader, far_writer = await asyncio.open_connection(LOOPBACK, target)
        half = rtt_seconds / 2
        await asyncio.gather(_carry(reader, far_writer, half), _carry(far_reader, writer, half))
        far_writer.close()
        writer.close()

    server = await asyncio.start_server(joined, LOOPBACK, listen, backlog=1024)
    await server.serve_forever()


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: float) -> None:
    """Carry one direction to its end; each piece arrives so many seconds after it came."""
    pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_PIECES_MAX)
    leaving = asyncio.create_task(_leave(pieces, writer))
    piece = b"-"
    while piece:
        try:
            piece = await reader.read(_PIECE_BYTES)
        except ConnectionError:
            piece = b""
        await pieces.put((time.monotonic() + seconds, piece))
    await leaving


async def _leave(pieces: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter) -> None:
    is_open = True
    while True:
        due, piece = await pieces.get()
        while (left := due - time.monotonic()) > 0:  # noqa: ASYNC110 - the loop's own clock stands still while it works
            await asyncio.sleep(left)
        if is_open:
            try:
                writer.write(piece) if piece else writer.write_eof()
                await writer.drain()
            except OSError:
                is_open = False  # what still comes is let fall
        if not piece:
            return


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]) / 1000))

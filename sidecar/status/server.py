"""The listeners: TCP, unix socket, public TCP. Bounded: a slow or greedy client costs only itself."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import socket
import stat
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import cast

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from sidecar.core.address import parse_address
from sidecar.core.errors import FatalError
from sidecar.metrics import Metrics

from .api import Api
from .app import Token, build
from .guard import Door, DoorKind, door_of
from .source import StatusSource

CONNECTIONS_MAX = 128  # of one listener
CONNECTION_SECONDS = 15.0  # from accept to the last byte, but for requests that wait by design
REQUEST_LINE_BYTES_MAX = 16 * 1024  # a path of 4,096 bytes, all of them percent-encoded, fits
SHUTDOWN_SECONDS = 1.0
BACKLOG = 128
SOCKET_MODE = 0o600

# aiohttp would log every malformed request as an error: they are the client's, and anybody can send them.
_UNHEARD = logging.getLogger("sidecar.status.malformed")
_UNHEARD.setLevel(logging.CRITICAL)


class Connections:
    """The connections of one listener: at most so many, each for so long."""

    def __init__(self) -> None:
        """None are patient."""
        self._extended: set[RequestHandler] = set()

    def accept(self, server: web.Server) -> asyncio.Protocol:
        """Return the protocol of a new connection: aiohttp's, or one that hangs up.

        When all places are taken the longest-standing connection gives way: requests are answered in
        milliseconds, so it is one that never finishes its own, and a health check must get through.
        """
        open_ones = [one for one in server.connections if one.transport and not one.transport.is_closing()]
        if len(open_ones) >= CONNECTIONS_MAX:
            impatient = next((one for one in open_ones if one not in self._extended), None)
            if impatient is None or impatient.transport is None:
                return _HangUp()
            impatient.transport.abort()
        handler = server()
        self._bound(handler)
        return handler

    @contextlib.contextmanager
    def extend_time(self, request: web.Request) -> Iterator[None]:
        """Give a request, which is bounded in another way, as long as it takes."""
        self._extended.add(request.protocol)
        try:
            yield
        finally:
            self._extended.discard(request.protocol)
            self._bound(request.protocol)

    def _bound(self, handler: RequestHandler) -> None:
        asyncio.get_running_loop().call_later(CONNECTION_SECONDS, self._expire, handler)

    def _expire(self, handler: RequestHandler) -> None:
        if handler.transport is not None and handler not in self._extended:
            handler.transport.abort()


class _HangUp(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.Transport", transport).abort()


class Endpoint:
    """All listeners of one daemon. Make it with ``serving``."""

    def __init__(self, *, source: StatusSource, metrics: Metrics, token: Token | None) -> None:
        """Open nothing yet."""
        self._api = Api(source=source, metrics=metrics)
        self._token = token
        self._stack = contextlib.AsyncExitStack()

    async def listen_tcp(self, address: str, *, public: bool = False) -> int:
        """Listen on ``host:port``; return the port. Raises FatalError."""
        sock = await asyncio.to_thread(_bind_tcp, address)
        host = parse_address(address)[0]
        door = Door(kind=DoorKind.PUBLIC, host=host) if public else door_of(host)
        await self._serve(sock, door)
        return int(sock.getsockname()[1])

    async def listen_unix(self, path: Path) -> None:
        """Listen on a unix socket that only its owner may use. Raises FatalError."""
        sock = await asyncio.to_thread(_bind_unix, path)
        inode = (await asyncio.to_thread(path.stat)).st_ino
        self._stack.push_async_callback(asyncio.to_thread, _unlink_own, path, inode)
        await self._serve(sock, Door(kind=DoorKind.SOCKET))

    async def close(self) -> None:
        """Stop listening, end connections, remove the socket."""
        await self._stack.aclose()

    async def _serve(self, sock: socket.socket, door: Door) -> None:
        self._stack.callback(sock.close)
        connections = Connections()
        app = build(api=self._api, door=door, token=self._token, extend_time=connections.extend_time)
        runner = web.AppRunner(
            app,
            access_log=None,
            handler_cancellation=True,
            logger=_UNHEARD,
            keepalive_timeout=CONNECTION_SECONDS,
            max_line_size=REQUEST_LINE_BYTES_MAX,
            shutdown_timeout=SHUTDOWN_SECONDS,
        )
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        server = cast("web.Server", runner.server)
        listener = await _create(lambda: connections.accept(server), sock)
        self._stack.callback(listener.close)


@contextlib.asynccontextmanager
async def serving(
    *,
    source: StatusSource,
    metrics: Metrics,
    listen: str,
    socket_path: Path | None = None,
    public_listen: str | None = None,
    token: Token | None = None,
) -> AsyncIterator[int]:
    """Serve the endpoint; yields the TCP port. Raises FatalError if it cannot listen (75 for a busy port)."""
    endpoint = Endpoint(source=source, metrics=metrics, token=token)
    try:
        port = await endpoint.listen_tcp(listen)
        if socket_path is not None:
            await endpoint.listen_unix(socket_path)
        if public_listen is not None:
            await endpoint.listen_tcp(public_listen, public=True)
        yield port
    finally:
        await endpoint.close()


async def _create(factory: Callable[[], asyncio.Protocol], sock: socket.socket) -> asyncio.Server:
    loop = asyncio.get_running_loop()
    if sock.family == socket.AF_UNIX:
        return await loop.create_unix_server(factory, sock=sock, backlog=BACKLOG)
    return await loop.create_server(factory, sock=sock, backlog=BACKLOG)


def _bind_tcp(address: str) -> socket.socket:
    try:
        host, port = parse_address(address)
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, where = found[0]
        sock = socket.socket(family, kind, protocol)
    except (OSError, ValueError) as error:
        raise _refused(address, error) from error
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(where)
    except OSError as error:
        sock.close()
        raise _refused(address, error) from error
    return sock


def _refused(address: str, error: Exception) -> FatalError:
    if getattr(error, "errno", None) == errno.EADDRINUSE:
        return FatalError(
            f"{address} is in use",
            exit_status=75,
            hint="another sidecar may be running; stop it, or give status.listen another port",
        )
    return FatalError(
        f"cannot listen on {address}: {getattr(error, 'strerror', None) or error}",
        exit_status=78,
        hint="status.listen and status.public_listen are host:port of this machine, e.g. 127.0.0.1:9745",
    )


def _bind_unix(path: Path) -> socket.socket:
    """Bind, then restrict, and only then listen: nobody gets in between."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _clear_stale(path)
        sock.bind(str(path))
        path.chmod(SOCKET_MODE)
    except OSError as error:
        sock.close()
        raise _refused_unix(path, error) from error
    return sock


def _clear_stale(path: Path) -> None:
    """Remove the socket of a sidecar that was killed; refuse where one listens, or no socket lies."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise FileExistsError(errno.EEXIST, "there is a file of that name", str(path))
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        if probe.connect_ex(str(path)) != errno.ECONNREFUSED:
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
    path.unlink()


def _refused_unix(path: Path, error: OSError) -> FatalError:
    if error.errno == errno.EADDRINUSE:
        return FatalError(
            f"the socket {path} is in use",
            exit_status=75,
            hint="another sidecar may be running; stop it, or give status.socket another path",
        )
    return FatalError(
        f"cannot listen on the socket {path}: {error.strerror or error}",
        exit_status=78,
        hint="status.socket needs a folder that exists, may be written, and a path under 108 bytes",
    )


def _unlink_own(path: Path, inode: int) -> None:
    with contextlib.suppress(FileNotFoundError):
        if path.lstat().st_ino == inode:
            path.unlink()

"""Opens the connections to Convex: through which proxy, trusting whom, as the environment says.

aiohttp makes them, as it does those to S3: a call takes a third of the CPU that it takes with httpx (175 us
instead of 600 for 70 KB over TLS, 2026-11-30).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, NoReturn, cast

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from aiohttp.connector import Connection
from aiohttp.payload import Payload
from yarl import URL

from sidecar.connections.idle import KEPT_SECONDS, ear_of, is_dead
from sidecar.connections.proxy_route import Guided, checked_route, connector
from sidecar.trust import aws_bundle, bundles

from .deadline import Deadline

CONNECTIONS_MAX = 16
LINE_BYTES_MAX = 64 * 1024  # of an answer's head: fronts add long ones


@dataclass(slots=True)
class Trip:
    """What became of one request so far. ``is_kept``: its connection has carried others."""

    progress: Deadline
    is_kept: bool = False
    is_sent: bool = False
    is_answered: bool = False


class _Body(Payload):
    """A body that is in memory; its trip hears when it goes."""

    def __init__(self, data: bytes, trip: Trip) -> None:
        super().__init__(data, content_type="application/json")
        self._data, self._size, self.trip = data, len(data), trip

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Send it."""
        self.trip.is_sent = True
        self.trip.progress.handed(getattr(writer, "transport", None), len(self._data))
        await writer.write(self._data)

    def decode(self, _encoding: str = "utf-8", _errors: str = "strict") -> NoReturn:
        """Refuse: nobody asks."""
        raise NotImplementedError


class _Request(aiohttp.ClientRequest):
    """One request. It sends nothing on a kept connection that was cut, or says what nobody asked."""

    async def send(self, conn: Connection) -> aiohttp.ClientResponse:
        """Send it. Raises ServerDisconnectedError, and what aiohttp raises."""
        protocol = conn.protocol
        assert protocol is not None  # noqa: S101 - aiohttp's own certainty, for the type checker
        if cast("_Body", self.body).trip.is_kept:
            transport = protocol.transport
            if transport is None or is_dead(protocol, ear_of(transport)):
                raise aiohttp.ServerDisconnectedError
        return await super().send(conn)


class Http:
    """Makes POSTs to one deployment, and follows no redirects."""

    def __init__(self, session: Guided, *, url: str, proxy_url: str | None) -> None:
        """``url`` is the deployment's."""
        self._session, self._proxy_url = session, proxy_url
        self._url = str(URL(url)).rstrip("/")
        self._steps = 1 + url.startswith("https:") + (proxy_url is not None)  # to a connection that stands

    async def post(
        self, path: str, body: bytes, headers: Mapping[str, str], trip: Trip
    ) -> aiohttp.ClientResponse:
        """Return the answer, its body to be read. Raises aiohttp.ClientError."""
        trip.progress.connecting(self._steps)
        try:
            return await self._session.request(
                "POST",
                url=URL(self._url + path, encoded=True),
                headers=dict(headers),
                data=_Body(body, trip),
                proxy=self._proxy_url,
                allow_redirects=False,
                trace_request_ctx=trip,
            )
        except UnicodeError as error:  # a host that is no name
            raise aiohttp.InvalidURL(self._url, str(error)) from error
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise aiohttp.ClientConnectionError("the connections were closed") from None


@asynccontextmanager
async def open_http(url: str, *, version: str) -> AsyncIterator[Http]:
    """Open the connections to a deployment; nothing is sent yet. Raises FatalError (78)."""
    extra = aws_bundle(os.environ)  # whoever must trust an authority of his own sets what he finds
    trusted = [*bundles(os.environ), *([extra] if extra else [])]
    way = await checked_route(url, trusted=trusted, host="the deployment's host")
    proxy_url = way.proxy_url_for(url)
    proxy = way.proxy(proxy_url)
    async with aiohttp.ClientSession(
        connector=connector(
            proxy,
            limit=CONNECTIONS_MAX,
            keepalive_timeout=KEPT_SECONDS,
            use_dns_cache=False,  # who waits for another's look-up would not hear that it is over
        ),
        headers={
            "Content-Type": "application/json",
            "Accept-Encoding": "identity",  # so that a small answer cannot unfold into a huge one
            "User-Agent": f"render-sidecar/{version}",
            "Convex-Client": f"render-sidecar-{version}",
        },
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),  # ``Deadline`` watches over every call
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        max_line_size=LINE_BYTES_MAX,
        max_field_size=LINE_BYTES_MAX,
        request_class=_Request,
        trace_configs=[_telling_trips()],
    ) as session:
        yield Http(Guided(session, way=way, proxy=proxy), url=url, proxy_url=proxy_url)


def _telling_trips() -> aiohttp.TraceConfig:
    """Tell each request's ``Trip`` of its connection; a name that was found and a connection are progress."""

    async def kept(_session: aiohttp.ClientSession, context: SimpleNamespace, _about: Any) -> None:
        context.trace_request_ctx.is_kept = True

    async def stepped(_session: aiohttp.ClientSession, context: SimpleNamespace, _about: Any) -> None:
        context.trace_request_ctx.progress.moved(0)

    steps = aiohttp.TraceConfig()
    steps.on_connection_reuseconn.append(kept)
    steps.on_dns_resolvehost_end.append(stepped)
    steps.on_connection_create_end.append(stepped)
    return steps

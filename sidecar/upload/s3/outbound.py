"""Keeps the connections of a client of S3, for its bodies and for what the client library asks alike."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, cast

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from sidecar.connections.proxy_route import Guided, ProxyRoute, connector
from sidecar.core.proxies import ProxyError

from .bounded import BoundedResponse
from .call import Call
from .connection import Request, ServerBehaviour, Session
from .connection_errors import as_client_error
from .payload import RangePayload
from .plain_answer import Answer
from .small_put import SmallPuts, SmallRequest


class Outbound:
    """They go a way of ours, and answers on them are bounded."""

    def __init__(
        self, *, way: ProxyRoute, timeout: aiohttp.ClientTimeout, connections: int, kept_seconds: float
    ) -> None:
        """Connect to nobody yet. What idles for ``kept_seconds`` is not used again."""
        self.way, self._timeout = way, timeout
        self._limits: dict[str, Any] = {"limit": connections, "keepalive_timeout": kept_seconds}
        self._sessions: dict[str | None, aiohttp.ClientSession] = {}  # by proxy
        self._behaviour = ServerBehaviour()
        self._small = SmallPuts(tls=way.tls, behaviour=self._behaviour)

    async def close(self) -> None:
        """Close all connections."""
        self._small.close()
        while self._sessions:
            _, session = self._sessions.popitem()
            await session.close()

    async def session(self, proxy_url: str | None) -> Guided:
        """Return what makes requests by a proxy, or directly."""
        session = Session(self._plain_session(proxy_url), self._behaviour)
        return Guided(session, way=self.way, proxy=self.way.proxy(proxy_url))

    def _plain_session(self, proxy_url: str | None) -> aiohttp.ClientSession:
        session = self._sessions.get(proxy_url)
        if session is None:
            session = self._sessions[proxy_url] = aiohttp.ClientSession(
                connector=connector(self.way.proxy(proxy_url), **self._limits),
                timeout=self._timeout,
                skip_auto_headers={"CONTENT-TYPE"},
                auto_decompress=False,
                response_class=BoundedResponse,
                request_class=cast("Any", partial(Request, behaviour=self._behaviour)),
            )
            # aiohttp would send a PUT again by itself where a used connection breaks: a second version.
            session._retry_connection = False  # noqa: SLF001 - it has no other say
        return session

    async def put(self, url: str, headers: Mapping[str, str], body: RangePayload) -> Answer:
        """Do what ``send`` of the client library's does, for a PUT: raises the same, makes what is needed."""
        return await self._sent("PUT", url, headers, body)

    async def get(self, url: str, headers: Mapping[str, str]) -> Answer:
        """Do the same for a GET."""
        return await self._sent("GET", url, headers, None)

    async def _sent(
        self, method: str, url: str, headers: Mapping[str, str], body: RangePayload | None
    ) -> Answer:
        proxy_url = None
        try:
            proxy_url = self.way.proxy_url_for(url)
            session = await self.session(proxy_url)
            answer = await session.request(
                method, url=URL(url, encoded=True), headers=CIMultiDict(headers), data=body, proxy=proxy_url
            )
            return Answer(answer.status, cast("BoundedResponse", answer).said, await answer.read())
        except Exception as error:
            raise as_client_error(error, url=url, proxy_url=proxy_url) from error

    def is_direct(self, origin: str) -> bool:
        """Tell whether no proxy stands before an origin (scheme and host), as far as that can be told."""
        try:
            return self.way.proxy_url_of(origin) is None
        except ProxyError:
            return False  # whoever asks for the way hears why

    async def put_small(self, request: SmallRequest, watch: Call) -> Answer:
        """Send a PUT that is in memory, to an origin without a proxy; raises as ``put`` does."""
        try:
            return await self._small.put(self._plain_session(None), request, watch)
        except Exception as error:
            raise as_client_error(error, url=request.url, proxy_url=None) from error

"""Makes the way out to S3, STS and SSO: through which proxy, trusting whom.

aiobotocore decides neither as the rest of us does. It asks for a proxy once, by the name of the service and
not of the request's host, and it does not look at certificates where a proxy is used or a host's name is to
be checked. So every request gets a context of ours that checks both.
"""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from sidecar.core.proxies import Proxies, Proxy, ProxyError
from sidecar.trust import Bundle, tls_context

from .bounded import BoundedSession
from .call import Call
from .connection_errors import as_client_error
from .payload import RangePayload
from .plain_answer import Answer
from .small_put import SmallPuts, SmallRequest

HOSTS_MAX = 64  # S3's doors, STS, SSO
_SOCKS = "socks5"


class ProxyRoute:
    """The proxies and the authorities of one client; speaks to aiobotocore as its proxy configuration."""

    def __init__(self, *, proxies: Proxies, trusted: Sequence[Bundle]) -> None:
        """Read nothing yet: what no connection needs may be wrong."""
        self.settings: dict[str, Any] = {}
        self._proxies, self._trusted = proxies, trusted
        self._known: dict[str | None, Proxy] = {}
        self._context: ssl.SSLContext | None = None
        self.proxy_url_of = lru_cache(HOSTS_MAX)(self._decided)  # as ``proxy_url_for``, of scheme and host

    def check(self, url: str) -> None:
        """Raise ProxyError or TrustError where the way to a URL cannot be gone. Blocking."""
        proxy = self._proxies.of(url)
        if "https" in {url.partition(":")[0], proxy.scheme if proxy else None}:
            self._load()

    def proxy_url_for(self, url: str) -> str | None:
        """Return a proxy's URL without credentials, once for each host. Raises ProxyError."""
        return self.proxy_url_of("/".join(url.split("/", 3)[:3]))

    def _decided(self, origin: str) -> str | None:
        proxy = self._proxies.of(origin)
        if proxy is None:
            return None
        self._known[proxy.url] = proxy
        return proxy.url

    def proxy_headers_for(self, _: str) -> dict[str, str]:
        """Return none: what a proxy is told goes with each request."""
        return {}

    def proxy(self, proxy_url: str | None) -> Proxy | None:
        """Return a proxy by what ``proxy_url_for`` said."""
        return self._known.get(proxy_url)

    async def tls(self) -> ssl.SSLContext:
        """Return the context of all connections. Raises TrustError."""
        context = self._context
        return context if context is not None else await asyncio.to_thread(self._load)

    def _load(self) -> ssl.SSLContext:
        if self._context is None:
            self._context = tls_context(self._trusted)
        return self._context


class _Guided:
    """A session whose every request goes the way."""

    def __init__(self, session: Any, *, way: ProxyRoute, proxy: Proxy | None) -> None:
        self._session, self._way, self._proxy = session, way, proxy

    async def request(self, method: str, *, url: Any, **arguments: Any) -> aiohttp.ClientResponse:
        proxy = self._proxy
        if url.scheme == "https" or (proxy and proxy.scheme == "https"):
            arguments["ssl"] = await self._way.tls()
        if proxy is not None and proxy.scheme == _SOCKS:
            arguments["proxy"] = None  # the connector is the way
        elif proxy is not None and proxy.username is not None:
            headers = {"Proxy-Authorization": _basic(proxy)}
            if url.scheme == "https":
                arguments["proxy_headers"] = headers
            else:
                arguments["headers"].update(headers)
        response: aiohttp.ClientResponse = await self._session.request(method, url=url, **arguments)
        return response


def _basic(proxy: Proxy) -> str:
    return f"Basic {base64.b64encode(f'{proxy.username}:{proxy.password}'.encode()).decode()}"


class Outbound(BoundedSession):
    """A client's HTTP session that goes a way of ours."""

    def __init__(self, *, way: ProxyRoute, **arguments: Any) -> None:
        """``arguments`` are aiobotocore's; what they say of proxies and certificates is not heard."""
        super().__init__(**(arguments | {"proxies": {}, "verify": True}))
        self._proxy_config = self._way = way
        self._small = SmallPuts(tls=way.tls, behaviour=self._behaviour)

    async def __aexit__(self, *error: object) -> None:
        """Close all connections."""
        self._small.close()
        await super().__aexit__(*error)

    def _create_connector(self, proxy_url: str | None) -> aiohttp.BaseConnector:
        proxy = self._way.proxy(proxy_url)
        limits = {"limit": self._max_pool_connections, **self._connector_args}
        if proxy is None or proxy.scheme != _SOCKS:
            return aiohttp.TCPConnector(**limits)
        from aiohttp_socks import ProxyConnector, ProxyType  # noqa: PLC0415 - few have such a proxy

        socks: aiohttp.BaseConnector = ProxyConnector(
            host=proxy.host,
            port=proxy.port,
            proxy_type=ProxyType.SOCKS5,
            username=proxy.username,
            password=proxy.password,
            rdns=True,
            **limits,
        )
        return socks

    async def put(self, url: str, headers: Mapping[str, str], body: RangePayload) -> Answer:
        """Do what ``send`` does, for a PUT: raises the same, and makes of the answer only what is needed."""
        proxy_url = None
        try:
            proxy_url = self._way.proxy_url_for(url)
            session = await self._get_session(proxy_url)
            answer = await session.request(
                "PUT", url=URL(url, encoded=True), headers=CIMultiDict(headers), data=body, proxy=proxy_url
            )
            return Answer(answer.status, answer.said, await answer.read())
        except Exception as error:
            raise as_client_error(error, url=url, proxy_url=proxy_url) from error

    def is_direct(self, origin: str) -> bool:
        """Tell whether no proxy stands before an origin (scheme and host), as far as that can be told."""
        try:
            return self._way.proxy_url_of(origin) is None
        except ProxyError:
            return False  # whoever asks for the way hears why

    async def put_small(self, request: SmallRequest, watch: Call) -> Answer:
        """Send a PUT that is in memory, to an origin without a proxy; raises as ``put`` does."""
        try:
            if None not in self._sessions:
                await self._get_session(None)
            return await self._small.put(self._sessions[None], request, watch)
        except Exception as error:
            raise as_client_error(error, url=request.url, proxy_url=None) from error

    async def _get_session(self, proxy_url: str | None) -> Any:
        session = await super()._get_session(proxy_url)
        return _Guided(session, way=self._way, proxy=self._way.proxy(proxy_url))

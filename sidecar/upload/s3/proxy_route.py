"""Makes the way out to S3, STS and SSO: through which proxy, trusting whom.

aiobotocore decides neither as the rest of us does. It asks for a proxy once, by the name of the service and
not of the request's host, and it does not look at certificates where a proxy is used or a host's name is to
be checked. So every request gets a context of ours that checks both.
"""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import aiohttp

from sidecar.core.proxies import Proxies, Proxy
from sidecar.trust import Bundle, tls_context

from .connection import Session

HOSTS_MAX = 64  # S3's doors, STS, SSO
SOCKS = "socks5"


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


class Guided:
    """A session whose every request goes the way."""

    def __init__(self, session: Session, *, way: ProxyRoute, proxy: Proxy | None) -> None:
        self._session, self._way, self._proxy = session, way, proxy

    async def request(self, method: str, *, url: Any, **arguments: Any) -> aiohttp.ClientResponse:
        """Make a request. Raises TrustError, and what aiohttp raises."""
        proxy = self._proxy
        if url.scheme == "https" or (proxy and proxy.scheme == "https"):
            arguments["ssl"] = await self._way.tls()
        if proxy is not None and proxy.scheme == SOCKS:
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

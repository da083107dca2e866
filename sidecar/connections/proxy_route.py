"""Makes the way out to S3, STS, SSO and Convex: through which proxy, trusting whom.

aiobotocore decides neither as the rest of us does. It asks for a proxy once, by the name of the service and
not of the request's host, and it does not look at certificates where a proxy is used or a host's name is to
be checked. So every request gets a context of ours that checks both.
"""

from __future__ import annotations

import asyncio
import base64
import os
import ssl
from collections.abc import Awaitable, MutableMapping, Sequence
from functools import lru_cache
from typing import Any

import aiohttp
from aiohttp.client_reqrep import ConnectionKey
from yarl import URL

from sidecar.core.errors import FatalError
from sidecar.core.proxies import Proxies, Proxy, ProxyError
from sidecar.trust import Bundle, TrustError, tls_context

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


async def checked_route(url: str, *, trusted: Sequence[Bundle], host: str) -> ProxyRoute:
    """Return the way to a URL that was found to be one; ``host`` says whose. Raises FatalError (78)."""
    way = ProxyRoute(proxies=Proxies(os.environ), trusted=trusted)
    try:
        await asyncio.to_thread(way.check, url)
    except ProxyError as error:
        hint = f"correct it, or name {host} in NO_PROXY"
        raise FatalError(str(error), exit_status=78, hint=hint) from None
    except TrustError as error:
        raise FatalError(str(error), exit_status=78, hint="name a readable PEM file, or none") from None
    return way


def connector(proxy: Proxy | None, **limits: Any) -> aiohttp.BaseConnector:
    """Return what makes the connections of a session; ``limits`` are aiohttp's."""
    if proxy is None or proxy.scheme != SOCKS:
        return aiohttp.TCPConnector(**limits)
    from aiohttp_socks import ProxyConnector, ProxyType  # noqa: PLC0415 - few have such a proxy

    made: aiohttp.BaseConnector = ProxyConnector(
        host=proxy.host,
        port=proxy.port,
        proxy_type=ProxyType.SOCKS5,
        username=proxy.username,
        password=proxy.password,
        rdns=True,
        **limits,
    )
    return made


class Guided:
    """A session whose every request goes the way."""

    def __init__(self, session: Any, *, way: ProxyRoute, proxy: Proxy | None) -> None:
        """``session`` makes requests as aiohttp's does, over connections of ``connector`` for that proxy."""
        self._session, self._way, self._proxy = session, way, proxy

    async def request(
        self, method: str, *, url: URL, headers: MutableMapping[str, str], **arguments: Any
    ) -> aiohttp.ClientResponse:
        """Make a request. Raises TrustError, and what aiohttp raises."""
        proxy = self._proxy
        if url.scheme == "https" or (proxy and proxy.scheme == "https"):
            arguments["ssl"] = await self._way.tls()
        if proxy is not None and proxy.scheme == SOCKS:
            arguments["proxy"] = None  # the connector is the way
            request = self._session.request(method, url=url, headers=headers, **arguments)
            return await _by_socks(request, url, proxy)
        if proxy is not None and proxy.username is not None:
            credentials = {"Proxy-Authorization": _basic(proxy)}
            if url.scheme == "https":
                arguments["proxy_headers"] = credentials
            else:
                headers.update(credentials)
        response: aiohttp.ClientResponse = await self._session.request(
            method, url=url, headers=headers, **arguments
        )
        return response


async def _by_socks(
    request: Awaitable[aiohttp.ClientResponse], url: URL, proxy: Proxy
) -> aiohttp.ClientResponse:
    """Make a request; its failures are named as those by any proxy, or of a direct connection."""
    from aiohttp_socks import ProxyConnectionError, ProxyError, ProxyTimeoutError  # noqa: PLC0415 - as above

    try:
        return await request
    except (ProxyConnectionError, ProxyError, ProxyTimeoutError, asyncio.IncompleteReadError) as error:
        own = OSError(None, str(error))
        raise aiohttp.ClientProxyConnectionError(_key(proxy.host, proxy.port), own) from error
    except aiohttp.ClientOSError as error:
        there = _key(url.host or "", url.port)
        match error.__cause__:
            case ssl.CertificateError() as own:
                raise aiohttp.ClientConnectorCertificateError(there, own) from error
            case ssl.SSLError() as own:
                raise aiohttp.ClientConnectorSSLError(there, own) from error
        raise


def _key(host: str, port: int | None) -> ConnectionKey:
    return ConnectionKey(host, port, False, True, None, None, None)  # noqa: FBT003 - aiohttp's


def _basic(proxy: Proxy) -> str:
    return f"Basic {base64.b64encode(f'{proxy.username}:{proxy.password}'.encode()).decode()}"

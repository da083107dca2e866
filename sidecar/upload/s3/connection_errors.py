"""Names what broke on a connection as aiobotocore does: one table of ours reads the failures of both."""

from __future__ import annotations

import socket
from typing import Any

import aiohttp
from botocore import exceptions as boto

_CLOSED = (
    aiohttp.ServerDisconnectedError, aiohttp.ClientPayloadError, aiohttp.http_exceptions.BadStatusLine
)  # fmt: skip
_KINDS: tuple[tuple[Any, Any], ...] = (  # the first that fits
    (aiohttp.ClientSSLError, boto.SSLError),
    ((aiohttp.ClientProxyConnectionError, aiohttp.ClientHttpProxyError), boto.ProxyConnectionError),
    (_CLOSED, boto.ConnectionClosedError),
    (aiohttp.ConnectionTimeoutError, boto.ConnectTimeoutError),
    (aiohttp.ServerTimeoutError, boto.ReadTimeoutError),
    ((aiohttp.ClientConnectionError, socket.gaierror), boto.EndpointConnectionError),
    (TimeoutError, boto.ReadTimeoutError),
)


def as_client_error(error: Exception, *, url: str, proxy_url: str | None) -> Exception:
    """Return what aiobotocore would raise where aiohttp raised this."""
    kind = next((kind for kinds, kind in _KINDS if isinstance(error, kinds)), boto.HTTPClientError)
    where = {"proxy_url": proxy_url} if kind is boto.ProxyConnectionError else {"endpoint_url": url}
    made: Exception = kind(error=error, **where)
    return made

"""Names what broke on a connection as aiobotocore does, so that one table of ours reads the failures of both."""

from __future__ import annotations

import socket

import aiohttp
from botocore import exceptions as boto


def as_client_error(error: Exception, *, url: str, proxy_url: str | None) -> Exception:
    """Return what aiobotocore would raise where aiohttp raised this."""
    match error:
        case aiohttp.ClientSSLError():
            return boto.SSLError(endpoint_url=url, error=error)
        case aiohttp.ClientProxyConnectionError() | aiohttp.ClientHttpProxyError():
            return boto.ProxyConnectionError(proxy_url=proxy_url, error=error)
        case (
            aiohttp.ServerDisconnectedError()
            | aiohttp.ClientPayloadError()
            | aiohttp.http_exceptions.BadStatusLine()
        ):
            return boto.ConnectionClosedError(endpoint_url=url, error=error)
        case aiohttp.ServerTimeoutError():
            is_connect = str(error).lower().startswith("connect")
            kind = boto.ConnectTimeoutError if is_connect else boto.ReadTimeoutError
            return kind(endpoint_url=url, error=error)
        case aiohttp.ClientConnectionError() | socket.gaierror():
            return boto.EndpointConnectionError(endpoint_url=url, error=error)
        case TimeoutError():
            return boto.ReadTimeoutError(endpoint_url=url, error=error)
        case _:
            return boto.HTTPClientError(error=error)

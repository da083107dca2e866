"""Opens the connections to Convex: through which proxy, trusting whom, as the environment says."""

from __future__ import annotations

import asyncio
import os
import ssl
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from importlib.util import find_spec

import httpx

from sidecar.core.errors import FatalError
from sidecar.core.proxies import Proxies, Proxy, ProxyError
from sidecar.trust import TrustError, aws_bundle, bundles, tls_context

from .exchange import CONNECTIONS_MAX, KEPT_SECONDS


@asynccontextmanager
async def open_http(url: str, *, version: str) -> AsyncIterator[httpx.AsyncClient]:
    """Open the client of a deployment; it sends nothing yet. Raises FatalError (78)."""
    try:
        proxy = Proxies(os.environ).of(url)
        encrypted = url.startswith("https:") or (proxy is not None and proxy.scheme == "https")
        context = await asyncio.to_thread(_context, os.environ, encrypted=encrypted)
    except ProxyError as error:
        hint = "correct it, or name the deployment's host in NO_PROXY"
        raise FatalError(str(error), exit_status=78, hint=hint) from None
    except TrustError as error:
        raise FatalError(str(error), exit_status=78, hint="name a readable PEM file, or none") from None
    _forget_sniffio()
    async with httpx.AsyncClient(
        base_url=url,
        headers={
            "Content-Type": "application/json",
            "Accept-Encoding": "identity",  # so that a small answer cannot unfold into a huge one
            "Convex-Client": f"render-sidecar-{version}",
        },
        timeout=None,  # noqa: S113 - ``Progress`` watches over every call
        limits=httpx.Limits(
            max_connections=CONNECTIONS_MAX,
            max_keepalive_connections=CONNECTIONS_MAX,
            keepalive_expiry=KEPT_SECONDS,
        ),
        follow_redirects=False,
        trust_env=False,  # it was read above
        verify=context,
        proxy=None if proxy is None else _proxy(proxy, context),
    ) as http:
        yield http


def _forget_sniffio() -> None:
    """Spare httpcore looking for a module that is not installed: on the disk, twice in every call."""
    if "sniffio" not in sys.modules and find_spec("sniffio") is None:
        sys.modules["sniffio"] = None  # type: ignore[assignment]


def _context(environ: Mapping[str, str], *, encrypted: bool) -> ssl.SSLContext:
    """Return whom to trust; nobody where nothing is encrypted, since that is soon made."""
    extra = aws_bundle(environ)  # whoever must trust an authority of his own sets what he finds
    trusted = [*bundles(environ), *([extra] if extra else [])]
    return tls_context(trusted if encrypted else [])


def _proxy(proxy: Proxy, context: ssl.SSLContext) -> httpx.Proxy:
    auth = None if proxy.username is None else (proxy.username, proxy.password)
    return httpx.Proxy(proxy.url, auth=auth, ssl_context=context if proxy.scheme == "https" else None)

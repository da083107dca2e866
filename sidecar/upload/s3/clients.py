"""Opens what speaks to the bucket: a client of our own for bodies, the client library for all else.

The library and its client are a fifth of a start's CPU, and a life that only sends whole objects asks them
nothing. So they are loaded by the first call that they make, where the bucket's door is plain to see and the
keys are the settings' own; else at once, since they have to be asked for the door.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any

import aiohttp

from sidecar.connections.idle import KEPT_SECONDS
from sidecar.connections.proxy_route import ProxyRoute, checked_route
from sidecar.core.clock import Clock
from sidecar.core.proxies import Proxies
from sidecar.trust import Bundle, bundles

from . import body_request
from .body_client import BodyClient
from .credentials import Credentials, OurKeys, SharedKeys
from .endpoint import S3Config
from .outbound import Outbound
from .response import parsing

CONNECT_SECONDS = 30  # a line full of our own bytes answers late; a question's own limit is shorter
_LIBRARY = "sidecar.upload.s3.client"


class Library:
    """The client library's client, by its methods; the first call loads it, in a thread, and makes it."""

    def __init__(self, make: Callable[[], AbstractAsyncContextManager[Any]], stack: AsyncExitStack) -> None:
        """``make`` opens it, once the library is loaded. ``stack`` closes it."""
        self._make, self._stack = make, stack
        self._client: Any = None
        self._making = asyncio.Lock()

    @property
    def is_loaded(self) -> bool:
        """Whether anybody asked it something."""
        return self._client is not None

    async def client(self) -> Any:
        """Return it. Raises FatalError (78)."""
        async with self._making:
            if self._client is None:
                await asyncio.to_thread(import_module, _LIBRARY)
                self._client = await self._stack.enter_async_context(self._make())
        return self._client

    def __getattr__(self, method: str) -> Callable[..., Awaitable[dict[str, Any]]]:
        """Return one of its methods."""
        if method.startswith("_"):
            raise AttributeError(method)
        return partial(self._call, method)

    async def _call(self, method: str, **fields: Any) -> dict[str, Any]:
        client = self._client or await self.client()
        with parsing():
            answer: dict[str, Any] = await getattr(client, method)(**fields)
        return answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Clients:
    """The client library, and what sends files' bytes beside it with the same methods: maybe itself.

    ``region`` is the one that S3 is asked for. ``credentials`` sign what is made outside of both.
    """

    api: Library
    bodies: BodyClient | Library
    region: str
    credentials: Credentials | None = None


@asynccontextmanager
async def open_clients(config: S3Config, *, connections: int, clock: Clock) -> AsyncIterator[Clients]:
    """Open the clients; raises FatalError (78). They never retry, nor sign payloads.

    The journal retries. Every payload carries a checksum that S3 verifies, and hashing it once more
    with SHA-256 for the signature over plain http would cost more than all the rest.
    """
    way = await _way(config)
    credentials = _credentials(config, clock)
    timeout = aiohttp.ClientTimeout(sock_connect=CONNECT_SECONDS)  # the line watches over every call
    async with AsyncExitStack() as stack:
        if isinstance(credentials, SharedKeys):
            stack.push_async_callback(credentials.close)
        outbound = Outbound(way=way, timeout=timeout, connections=connections, kept_seconds=KEPT_SECONDS)
        stack.push_async_callback(outbound.close)
        making = partial(_open_library, config, credentials, outbound)
        library, region = Library(making, stack), config.region
        door = body_request.plain_door(config) if config.keys is not None else None
        if door is None:
            client = await library.client()
            region = client.meta.region_name
            door = await body_request.learn(client, config.bucket)
        bodies: BodyClient | Library = library
        if door is not None:
            bodies = BodyClient(
                library=library, session=outbound, credentials=credentials, door=door, clock=clock
            )
        yield Clients(api=library, bodies=bodies, region=region, credentials=credentials)


def _open_library(
    config: S3Config, credentials: OurKeys | SharedKeys, outbound: Outbound
) -> AbstractAsyncContextManager[Any]:
    from .client import open_library  # noqa: PLC0415 - a fifth of a start, and not every life needs it

    return open_library(config, credentials, outbound)


async def _way(config: S3Config) -> ProxyRoute:
    """Return the way to the bucket, once it is known that it can be gone. Raises FatalError."""
    ours = None if config.ca_bundle is None else Bundle(path=config.ca_bundle, named_by="s3.ca_bundle")
    trusted = bundles(os.environ, first=(ours, config.aws_ca_bundle))
    return await checked_route(config.bucket_url, trusted=trusted, host="S3's host")


def _credentials(config: S3Config, clock: Clock) -> OurKeys | SharedKeys:
    if config.keys is not None:
        return OurKeys(config.keys, in_files=config.keys_in_files, clock=clock)
    from .aws_credentials import find  # noqa: PLC0415 - it is the client library's

    ours = [] if config.ca_bundle is None else [Bundle(path=config.ca_bundle, named_by="s3.ca_bundle")]
    trusted = [*ours, *bundles(os.environ, first=(config.aws_ca_bundle,))]  # STS may be AWS's, S3 one's own
    way = ProxyRoute(proxies=Proxies(os.environ), trusted=trusted)
    region = config.chain_region or config.region
    return SharedKeys(
        partial(find, profile=config.profile, alone=config.alone, region=region, way=way), clock=clock
    )

"""Makes the S3 client, which is told all that it needs and reads neither the environment nor a file.

The session is given no variable and no file to read, so that nothing reaches it that we do not know.
Uploads, addressing and an object's address come from one ``S3Config``.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import aioboto3
from aiobotocore.config import AioConfig
from aiobotocore.credentials import AioCredentialResolver, AioCredentials
from aiobotocore.session import AioSession

from sidecar.core.clock import Clock
from sidecar.core.errors import FatalError
from sidecar.core.proxies import Proxies, ProxyError
from sidecar.trust import Bundle, TrustError, bundles

from . import body_request
from .aws_credentials import find
from .body_client import BodyClient
from .connection import KEPT_SECONDS
from .core_session import open_core
from .credentials import OurKeys, SharedKeys
from .endpoint import S3Config
from .proxied_session import Outbound, ProxyRoute

CONNECT_SECONDS = 30  # a line full of our own bytes answers late; a question's own limit is shorter
_EVERY_REGION = "aws-global"  # stands in the list of endpoints alone
_HINT = "check the section s3, and the AWS_ variables of the environment"
_PROXY_HINT = "correct it, or name S3's host in NO_PROXY"


@dataclass(frozen=True, slots=True, kw_only=True)
class Clients:
    """aioboto3's client, and what sends files' bytes beside it with the same methods: maybe itself.

    ``credentials`` sign what is made outside of both.
    """

    api: Any
    bodies: Any
    credentials: AioCredentials | None = None


@asynccontextmanager
async def open_clients(config: S3Config, *, connections: int, clock: Clock) -> AsyncIterator[Clients]:
    """Open the clients; raises FatalError (78). They never retry, nor sign payloads.

    The journal retries. Every payload carries a checksum that S3 verifies, and hashing it once more
    with SHA-256 for the signature over plain http would cost more than all the rest.
    """
    way = await _way(config)
    credentials = _credentials(config, clock)
    sessions: list[Outbound] = []

    def session(**arguments: Any) -> Outbound:
        sessions.append(Outbound(way=way, **arguments))
        return sessions[-1]

    async with AsyncExitStack() as stack:
        if isinstance(credentials, SharedKeys):
            stack.push_async_callback(credentials.close)
        try:
            core = _core(config, credentials)
            client = await stack.enter_async_context(
                _Session(botocore_session=core).client(
                    "s3",
                    region_name=config.region,
                    endpoint_url=config.endpoint_url,
                    config=_settings(config, session, connections),
                )
            )
        except Exception as error:  # the environment reaches into botocore in more ways than are known
            message = f"the S3 client cannot be made: {' '.join(str(error).split())}"
            raise FatalError(message, exit_status=78, hint=_HINT) from error
        _forget_endpoints(core)
        client.meta.events.register("after-call.s3", credentials.learn)
        door, bodies = await body_request.learn(client, config.bucket), client
        if door is not None:
            bodies = BodyClient(
                client=client, session=sessions[0], credentials=credentials, door=door, clock=clock
            )
        yield Clients(api=client, bodies=bodies, credentials=credentials)


def _settings(config: S3Config, session: Callable[..., Outbound], connections: int) -> AioConfig:
    return AioConfig(
        http_session_cls=session,
        connect_timeout=CONNECT_SECONDS,
        read_timeout=None,  # the line watches over every call
        max_pool_connections=connections,
        connector_args={"keepalive_timeout": KEPT_SECONDS},
        retries={"total_max_attempts": 1, "mode": "standard"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        proxies={},
        ignore_configured_endpoint_urls=True,
        use_dualstack_endpoint=config.dualstack,
        use_fips_endpoint=config.fips,
        user_agent_appid=config.app_id,
        s3={
            "addressing_style": config.addressing_style,
            "payload_signing_enabled": False,
            "use_accelerate_endpoint": config.accelerate,
            "us_east_1_regional_endpoint": "regional",  # the address that object_url gives
        },
    )


class _Session(aioboto3.Session):  # type: ignore[misc]  # it has no types
    """Makes clients without the methods for whole files: with them comes s3transfer, 0.1 s and 4 MiB."""

    def _register_default_handlers(self) -> None:
        """Register none: they add those methods."""


def _core(config: S3Config, credentials: AioCredentials) -> AioSession:
    core = open_core(with_endpoints=config.dualstack or config.fips or config.region == _EVERY_REGION)
    core.register_component("credential_provider", AioCredentialResolver(providers=[_Provider(credentials)]))
    return core


def _forget_endpoints(core: AioSession) -> None:
    """Let go of S3's description, and of AWS's list of endpoints, which only the making of a client needs."""
    with suppress(AttributeError):  # botocore names its own parts so; if it does no more, it keeps them
        core.get_component("data_loader")._cache.clear()  # noqa: SLF001 - no public way
        core._internal_components.get_component("endpoint_resolver")._endpoint_data = {"partitions": []}  # noqa: SLF001 - the same


class _Provider:
    """The client's whole credential chain."""

    METHOD = "sidecar"
    CANONICAL_NAME = None

    def __init__(self, credentials: AioCredentials) -> None:
        self._credentials = credentials

    async def load(self) -> AioCredentials:
        return self._credentials


async def _way(config: S3Config) -> ProxyRoute:
    """Return the way to the bucket, once it is known that it can be gone. Raises FatalError."""
    ours = None if config.ca_bundle is None else Bundle(path=config.ca_bundle, named_by="s3.ca_bundle")
    trusted = bundles(os.environ, first=(ours, config.aws_ca_bundle))
    way = ProxyRoute(proxies=Proxies(os.environ), trusted=trusted)
    try:
        await asyncio.to_thread(way.check, config.bucket_url)
    except ProxyError as error:
        raise FatalError(str(error), exit_status=78, hint=_PROXY_HINT) from None
    except TrustError as error:
        raise FatalError(str(error), exit_status=78, hint="name a readable PEM file, or none") from None
    return way


def _credentials(config: S3Config, clock: Clock) -> OurKeys | SharedKeys:
    if config.keys is not None:
        return OurKeys(config.keys, in_files=config.keys_in_files, clock=clock)
    ours = [] if config.ca_bundle is None else [Bundle(path=config.ca_bundle, named_by="s3.ca_bundle")]
    trusted = [*ours, *bundles(os.environ, first=(config.aws_ca_bundle,))]  # STS may be AWS's, S3 one's own
    way = ProxyRoute(proxies=Proxies(os.environ), trusted=trusted)
    region = config.chain_region or config.region
    return SharedKeys(
        partial(find, profile=config.profile, alone=config.alone, region=region, way=way), clock=clock
    )

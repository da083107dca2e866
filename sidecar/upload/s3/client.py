"""Makes the client library's client, which is told all that it needs and reads neither environment nor file.

The session is given no variable and no file to read, so that nothing reaches it that we do not know.
Uploads, addressing and an object's address come from one ``S3Config``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from typing import Any

import aioboto3
from aiobotocore.config import AioConfig
from aiobotocore.credentials import AioCredentialResolver, AioCredentials
from aiobotocore.session import AioSession

from sidecar.core.errors import FatalError

from .body_request import EVERY_REGION, user_agent
from .core_session import open_core
from .credentials import OurKeys, SharedKeys, SigningKeys
from .endpoint import S3Config
from .library_session import LibrarySession
from .outbound import Outbound
from .payload import EXPECT_BYTES, RangePayload
from .redirects import go_the_way
from .response import read_as_s3

_HINT = "check the section s3, and the AWS_ variables of the environment"


@asynccontextmanager
async def open_library(
    config: S3Config, credentials: OurKeys | SharedKeys, outbound: Outbound
) -> AsyncIterator[Any]:
    """Open the client over these connections. Raises FatalError (78)."""
    async with AsyncExitStack() as stack:
        try:
            core = _core(config, credentials)
            client = await stack.enter_async_context(
                _Session(botocore_session=core).client(
                    "s3",
                    region_name=config.region,
                    endpoint_url=config.endpoint_url,
                    config=_settings(config, outbound),
                )
            )
        except Exception as error:  # the environment reaches into botocore in more ways than are known
            message = f"the S3 client cannot be made: {' '.join(str(error).split())}"
            raise FatalError(message, exit_status=78, hint=_HINT) from error
        _forget_endpoints(core)
        client.meta.events.register("after-call.s3", credentials.learn)
        _teach(client)
        yield client


def _settings(config: S3Config, outbound: Outbound) -> AioConfig:
    return AioConfig(
        http_session_cls=partial(LibrarySession, way=outbound.way, outbound=outbound),
        retries={"total_max_attempts": 1, "mode": "standard"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        proxies={},
        ignore_configured_endpoint_urls=True,
        use_dualstack_endpoint=config.dualstack,
        use_fips_endpoint=config.fips,
        user_agent=user_agent(config),
        s3={
            "addressing_style": config.addressing_style,
            "payload_signing_enabled": False,
            "use_accelerate_endpoint": config.accelerate,
            "us_east_1_regional_endpoint": "regional",  # the address that object_url gives
        },
    )


def _teach(client: Any) -> None:
    """Let the client ask and read as we do."""
    events = client.meta.events
    events.register_last("before-call.s3", _expect_for_large_bodies_only)
    events.register_last("before-call.s3", go_the_way)
    events.register_last("before-parameter-build.s3", _stay_in_our_region)
    # botocore's own look for errors in a 200 is at s3.*, and comes after what is at *.*
    events.register("before-parse.*.*", read_as_s3)


def _expect_for_large_bodies_only(params: dict[str, Any], **_: Any) -> None:
    """Ask S3 before sending a large body, so that a refusal is read and not lost in a reset connection.

    For a small body the question costs a round trip and saves nothing.
    """
    body = params.get("body")
    if isinstance(body, RangePayload) and len(body) <= EXPECT_BYTES:
        params["headers"].pop("Expect", None)


def _stay_in_our_region(context: dict[str, Any], **_: Any) -> None:
    """Take a redirect for an error: s3.region is set, and botocore asks a redirecting HeadBucket for ever."""
    context.setdefault("s3_redirect", {})["redirected"] = True


class _Session(aioboto3.Session):  # type: ignore[misc]  # it has no types
    """Makes clients without the methods for whole files: with them comes s3transfer, 0.1 s and 4 MiB."""

    def _register_default_handlers(self) -> None:
        """Register none: they add those methods."""


def _core(config: S3Config, credentials: OurKeys | SharedKeys) -> AioSession:
    core = open_core(with_endpoints=config.dualstack or config.fips or config.region == EVERY_REGION)
    core.user_agent_extra = ""  # who asks is named alike, whoever makes the request
    core.register_component("credential_provider", AioCredentialResolver(providers=[_Provider(credentials)]))
    return core


def _forget_endpoints(core: AioSession) -> None:
    """Let go of S3's description, and of AWS's list of endpoints, which only the making of a client needs."""
    with suppress(AttributeError):  # botocore names its own parts so; if it does no more, it keeps them
        core.get_component("data_loader")._cache.clear()  # noqa: SLF001 - no public way
        core._internal_components.get_component("endpoint_resolver")._endpoint_data = {"partitions": []}  # noqa: SLF001 - the same


class _Credentials(AioCredentials):  # type: ignore[misc]  # it has no types
    """Our credentials as the client library has them."""

    def __init__(self, ours: OurKeys | SharedKeys) -> None:
        super().__init__("", "", method="sidecar")
        self._ours = ours

    async def get_frozen_credentials(self) -> SigningKeys:
        """Return what the next request is signed with."""
        return await self._ours.get_frozen_credentials()


class _Provider:
    """The client's whole credential chain."""

    METHOD = "sidecar"
    CANONICAL_NAME = None

    def __init__(self, credentials: OurKeys | SharedKeys) -> None:
        self._credentials = _Credentials(credentials)

    async def load(self) -> AioCredentials:
        return self._credentials

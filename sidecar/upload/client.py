"""How to reach the bucket: the client's settings, credentials that may change, public addresses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import aioboto3
from aiobotocore.config import AioConfig
from aiobotocore.credentials import AioCredentials
from aiobotocore.session import AioSession
from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import BotoCoreError, NoCredentialsError

from sidecar.core.errors import FatalError
from sidecar.settings.storing import S3

from .bounded import BoundedSession
from .connection import KEPT_SECONDS
from .transport import Algorithm

CONNECT_SECONDS = 10
READ_SECONDS = 60
_HINT = "check s3.endpoint_url, s3.profile, s3.ca_bundle and the AWS_ variables of the environment"


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """A pair of keys, and the token that temporary ones come with."""

    access_key_id: str
    secret_access_key: str
    session_token: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Config:
    """``settings.s3`` as the adapter needs it.

    ``keys`` is called in a thread for every request, so that secrets in files may change; None means
    the AWS chain (environment, profile, container, IMDS, web identity), which renews itself.
    """

    bucket: str
    region: str
    endpoint_url: str | None = None
    addressing: str = "auto"
    keys: Callable[[], Keys] | None = None
    profile: str | None = None
    ca_bundle: str | None = None
    checksum: Algorithm = Algorithm.CRC64NVME
    encryption: str = "none"  # none | aes256 | aws:kms
    kms_key_id: str | None = None
    public_base_url: str | None = None

    @property
    def on_aws(self) -> bool:
        """Whether the endpoint is Amazon's own."""
        host = urlsplit(self.endpoint_url).hostname if self.endpoint_url else None
        return host is None or host.endswith((".amazonaws.com", ".amazonaws.com.cn"))

    @property
    def addressing_style(self) -> str:
        """``path`` or ``virtual`` (bucket in the host name)."""
        if self.addressing != "auto":
            return self.addressing
        return "virtual" if self.on_aws and "." not in self.bucket else "path"


def s3_config(settings: S3) -> S3Config:
    """Return the settings as the adapter needs them."""
    return S3Config(
        bucket=settings.bucket,
        region=settings.region,
        endpoint_url=settings.endpoint_url,
        addressing=settings.addressing,
        keys=None if settings.access_key_id is None else partial(_keys, settings),
        profile=settings.profile,
        ca_bundle=str(settings.ca_bundle) if settings.ca_bundle else None,
        checksum=Algorithm(settings.checksum),
        encryption=settings.encryption.mode,
        kms_key_id=settings.encryption.kms_key_id,
        public_base_url=settings.public_base_url,
    )


def _keys(settings: S3) -> Keys:
    """Read the keys as they are now. Blocking. Raises SidecarError (UNAUTHORIZED) for unreadable files."""
    key_id, secret, token = settings.access_key_id, settings.secret_access_key, settings.session_token
    return Keys(
        access_key_id=key_id.get() if key_id else "",
        secret_access_key=secret.get() if secret else "",
        session_token=token.get() if token else None,
    )


def object_url(config: S3Config, key: str) -> str:
    """Return the stable, percent-encoded, unsigned address of an object."""
    path = quote(key, safe="/-_.~")
    if config.public_base_url is not None:
        return f"{config.public_base_url.rstrip('/')}/{path}"
    china = ".cn" if config.region.startswith("cn-") else ""
    base = urlsplit(config.endpoint_url or f"https://s3.{config.region}.amazonaws.com{china}")
    prefix = base.path.rstrip("/")
    if config.addressing_style == "virtual":
        return f"{base.scheme}://{config.bucket}.{base.netloc}{prefix}/{path}"
    return f"{base.scheme}://{base.netloc}{prefix}/{config.bucket}/{path}"


@asynccontextmanager
async def open_client(config: S3Config, *, connections: int) -> AsyncIterator[Any]:
    """Open the client; raises FatalError (78). It never retries, nor signs payloads.

    The journal retries. Every payload carries a checksum that S3 verifies, and hashing it once more
    with SHA-256 for the signature over plain http would cost more than all the rest.
    """
    core = AioSession()
    core.get_component("credential_provider").insert_before("env", _Provider(config))
    session = aioboto3.Session(botocore_session=core)
    settings = AioConfig(
        http_session_cls=BoundedSession,
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        max_pool_connections=connections,
        connector_args={"keepalive_timeout": KEPT_SECONDS},
        retries={"total_max_attempts": 1},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"addressing_style": config.addressing_style, "payload_signing_enabled": False},
    )
    async with AsyncExitStack() as stack:
        try:
            client = await stack.enter_async_context(
                session.client(
                    "s3",
                    region_name=config.region,
                    endpoint_url=config.endpoint_url,
                    verify=await asyncio.to_thread(_readable, config.ca_bundle),
                    config=settings,
                )
            )
        except (BotoCoreError, OSError, ValueError) as error:
            raise FatalError(f"the S3 client cannot be made: {error}", exit_status=78, hint=_HINT) from error
        yield client


def _readable(path: str | None) -> str | None:
    """Return the path of a file that can be read. Raises OSError."""
    if path is not None:
        Path(path).read_bytes()
    return path


class _Provider:
    """Goes first in the credential chain; its credentials are looked up for every request."""

    METHOD = "sidecar"
    CANONICAL_NAME = None

    def __init__(self, config: S3Config) -> None:
        self._config = config

    async def load(self) -> AioCredentials:
        return _Credentials(self._config)


class _Credentials(AioCredentials):  # type: ignore[misc] # aiobotocore is untyped
    """Our keys as they are now, else those of the AWS chain as they are now."""

    def __init__(self, config: S3Config) -> None:
        super().__init__("", "", method=_Provider.METHOD)
        self._config = config
        self._chain = AioSession(profile=config.profile)

    async def get_frozen_credentials(self) -> ReadOnlyCredentials:
        """Return what the next request is signed with. Raises NoCredentialsError."""
        if self._config.keys is not None:
            keys = await asyncio.to_thread(self._config.keys)  # they may be files
            return ReadOnlyCredentials(keys.access_key_id, keys.secret_access_key, keys.session_token)
        found = await self._chain.get_credentials()
        if found is None:
            raise NoCredentialsError
        return await found.get_frozen_credentials()

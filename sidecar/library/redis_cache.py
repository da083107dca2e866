"""The cache that programs share, in Redis: slower and never wrong while Redis is away.

A call takes a quarter of a second at most. After three failures in a row Redis is left alone for five
seconds, in which nothing is known. What had to be forgotten meanwhile is not believed, and is forgotten there
first of all once Redis is back. An entry names its asset, so that no mixed-up answer is taken for another's.
Whoever writes into this Redis decides which object an asset is: it deserves a password, and TLS (rediss).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable
from dataclasses import asdict
from hashlib import sha256
from typing import Any, TypeVar, cast

import structlog
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.credentials import CredentialProvider
from redis.exceptions import RedisError

from sidecar.core.clock import Clock
from sidecar.core.errors import SidecarError
from sidecar.settings.secret import Secret
from sidecar.settings.urls import Urls

from .cached_asset import FLOOR_SECONDS, CachedAsset

CALL_SECONDS = 0.25
FAILURES = 3
REST_SECONDS = 5.0
CONNECTIONS = 16
OWED_MAX = 10_000
_PAID_AT_ONCE = 50
# A value is `<floor> <asset as JSON, or null>`. It gives way to a higher floor, and to an asset of the same.
_KEEP = """
local there = redis.call('GET', KEYS[1])
local floor = there and tonumber(string.match(there, '^(%d+) '))
local asked = tonumber(ARGV[1])
if floor and (floor > asked or (floor == asked and ARGV[2] == 'null')) then return 0 end
redis.call('SET', KEYS[1], ARGV[1] .. ' ' .. ARGV[2], 'PX', ARGV[3])
return 1
"""
_AWAY = (RedisError, OSError, TimeoutError, SidecarError)  # SidecarError: the password's file cannot be read
T = TypeVar("T")
log = structlog.get_logger()


class _Credentials(CredentialProvider):
    """Reads the password for each connection, so that it may change."""

    def __init__(self, user: str | None, secret: Secret) -> None:
        self._user, self._secret = user, secret

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        """Return the password, after the user where there is one. Blocking. Raises SidecarError."""
        password = self._secret.get()
        return (password,) if self._user is None else (self._user, password)

    async def get_credentials_async(self) -> tuple[str] | tuple[str, str]:
        """Do the same off the event loop."""
        return await asyncio.to_thread(self.get_credentials)


class RedisUrlCache:
    """A cache in one Redis; it connects with the first call."""

    def __init__(self, urls: Urls, *, scope: str, clock: Clock) -> None:
        """``scope`` names what ids belong to: the deployment and the bucket."""
        self._urls, self._clock = urls, clock
        self._prefix = f"sidecar:asset:{sha256(scope.encode()).hexdigest()[:16]}:"
        self._redis: Redis | None = None
        self._failures, self._rests_until = 0, float("-inf")
        self._owed: dict[str, int] = {}
        self._distrusts_until = float("-inf")

    async def get(self, asset_id: str) -> CachedAsset | None:
        """Return what is known of an asset; None while Redis is away."""
        await self._pay()
        if asset_id in self._owed or self._clock.monotonic() < self._distrusts_until:
            return None
        value = await self._try(lambda redis: redis.get(self._prefix + asset_id))
        return _asset(value, asset_id)

    async def put(self, asset: CachedAsset) -> None:
        """Remember an asset, unless a newer version of it was seen."""
        if self._owed.get(asset.id, 0) <= asset.version:
            await self._keep(asset.id, asset.version, json.dumps(asdict(asset)), self._urls.cache_for)

    async def forget(self, asset_id: str, *, before: int) -> None:
        """Forget versions below ``before``; what Redis does not hear now it hears first when it is back."""
        self._owed[asset_id] = max(before, self._owed.get(asset_id, 0))
        if len(self._owed) > OWED_MAX:  # by then all that is there has ended
            self._owed.clear()
            self._distrusts_until = self._clock.monotonic() + self._urls.cache_for
        await self._pay()

    async def close(self) -> None:
        """Close the connections."""
        redis, self._redis = self._redis, None
        if redis is not None:
            await redis.aclose()

    async def _pay(self) -> None:
        """Tell Redis what it has to forget."""
        for asset_id, before in list(self._owed.items())[:_PAID_AT_ONCE]:
            seconds = max(self._urls.cache_for, FLOOR_SECONDS)
            if await self._keep(asset_id, before, "null", seconds) is None:
                return
            if self._owed.get(asset_id) == before:
                del self._owed[asset_id]

    async def _keep(self, asset_id: str, floor: int, body: str, seconds: float) -> Any:
        key, milliseconds = self._prefix + asset_id, max(1, round(seconds * 1000))
        return await self._try(
            lambda redis: cast("Awaitable[Any]", redis.eval(_KEEP, 1, key, floor, body, milliseconds))
        )

    async def _try(self, call: Any) -> Any:
        """Make a call; None where Redis is away, or was a moment ago."""
        if self._clock.monotonic() < self._rests_until:
            return None
        try:
            async with asyncio.timeout(CALL_SECONDS):
                answer = await call(self._connected())
        except _AWAY as error:
            self._failed(error)
            return None
        if self._failures >= FAILURES:
            log.info("url_cache_is_back")
        self._failures = 0
        return answer

    def _failed(self, error: Exception) -> None:
        self._failures += 1
        if self._failures >= FAILURES:
            self._rests_until = self._clock.monotonic() + REST_SECONDS
        if self._failures == FAILURES:
            log.warning("url_cache_is_away", why=type(error).__name__, effect="Convex is asked each time")

    def _connected(self) -> Redis:
        if self._redis is None:
            secret = self._urls.redis_password
            pool = BlockingConnectionPool.from_url(
                self._urls.cache,
                credential_provider=secret and _Credentials(self._urls.redis_user, secret),
                max_connections=CONNECTIONS,
                timeout=CALL_SECONDS,
                socket_timeout=CALL_SECONDS,
                socket_connect_timeout=CALL_SECONDS,
                retry=Retry(NoBackoff(), 0),
            )
            self._redis = Redis.from_pool(pool)
        return self._redis


def _asset(value: Any, asset_id: str) -> CachedAsset | None:
    """Read a value; one that is damaged, or somebody else's, is none."""
    if not isinstance(value, bytes):
        return None
    try:
        said = json.loads(value.partition(b" ")[2])
        asset = CachedAsset(**said) if isinstance(said, dict) else None
    except (TypeError, ValueError):
        return None
    if asset is None or asset.id != asset_id:
        return None
    texts = (asset.bucket, asset.key, asset.public_url)
    sound = all(isinstance(text, str) and text for text in texts) and isinstance(asset.version, int)
    return asset if sound else None

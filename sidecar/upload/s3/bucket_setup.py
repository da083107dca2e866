"""Reads and writes what a bucket has been set up with: policy, CORS, lifecycle, default encryption.

Only ``sidecar s3`` does, with the credentials of whoever calls it; the daemon never does.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from sidecar.core.clock import Clock
from sidecar.core.errors import SidecarError

from .calls import Calls
from .clients import open_clients
from .endpoint import S3Config
from .uplink import Uplink

Document = dict[str, Any]
_NONE_YET = frozenset(
    {
        "NoSuchBucketPolicy",
        "NoSuchCORSConfiguration",
        "NoSuchLifecycleConfiguration",
        "ServerSideEncryptionConfigurationNotFoundError",
    }
)


@asynccontextmanager
async def open_setup(config: S3Config, *, clock: Clock) -> AsyncIterator[BucketSetup]:
    """Open it. Raises FatalError (78)."""
    async with open_clients(config, connections=1, clock=clock) as clients:
        uplink = Uplink(most=1)
        calls = Calls(clients=clients, bucket=config.bucket, clock=clock, uplink=uplink, throttle=None)
        try:
            yield BucketSetup(calls)
        finally:
            await uplink.close()


class BucketSetup:
    """One bucket's. Every method raises SidecarError."""

    def __init__(self, calls: Calls) -> None:
        """``calls`` go to the bucket."""
        self._calls = calls

    async def policy(self) -> Document | None:
        """Return the bucket's policy."""
        found = await self._ask("get_bucket_policy")
        return None if found is None else json.loads(found["Policy"])

    async def put_policy(self, policy: Document) -> None:
        """Set it."""
        await self._tell("put_bucket_policy", Policy=json.dumps(policy))

    async def cors(self) -> list[Document]:
        """Return the rules of CORS."""
        return [*(await self._ask("get_bucket_cors") or {}).get("CORSRules", ())]

    async def put_cors(self, rules: Sequence[Document]) -> None:
        """Set them."""
        await self._tell("put_bucket_cors", CORSConfiguration={"CORSRules": list(rules)})

    async def lifecycle(self) -> list[Document]:
        """Return the lifecycle's rules."""
        return [*(await self._ask("get_bucket_lifecycle_configuration") or {}).get("Rules", ())]

    async def put_lifecycle(self, rules: Sequence[Document]) -> None:
        """Set them."""
        await self._tell("put_bucket_lifecycle_configuration", LifecycleConfiguration={"Rules": list(rules)})

    async def encryption(self) -> Document | None:
        """Return how the bucket encrypts by default. Some stores add what is the default anyway."""
        found = await self._ask("get_bucket_encryption") or {}
        rules = found.get("ServerSideEncryptionConfiguration", {}).get("Rules", [])
        return {name: value for name, value in rules[0].items() if value is not False} if rules else None

    async def put_encryption(self, rule: Document) -> None:
        """Set it."""
        await self._tell("put_bucket_encryption", ServerSideEncryptionConfiguration={"Rules": [rule]})

    async def _ask(self, method: str) -> Document | None:
        try:
            answer = await self._calls.call(method, self._calls.bucket)
        except SidecarError as error:
            if error.code in _NONE_YET:
                return None
            raise
        return {name: value for name, value in answer.items() if name != "ResponseMetadata"}

    async def _tell(self, method: str, **fields: Any) -> None:
        await self._calls.call(method, self._calls.bucket, **fields)

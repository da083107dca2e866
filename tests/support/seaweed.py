"""The adapter against the session's SeaweedFS."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from sidecar.core.clock import SystemClock
from sidecar.local.seaweed import SeaweedServer
from sidecar.upload.s3.credentials import Keys
from sidecar.upload.s3.endpoint import S3Config
from sidecar.upload.s3.object_store import S3Store, open_store


def config_for(server: SeaweedServer, bucket: str) -> S3Config:
    """Return what reaches a bucket of the server."""
    keys = Keys(access_key_id=server.access_key, secret_access_key=server.secret_key)
    return S3Config(bucket=bucket, region=server.region, endpoint_url=server.endpoint_url, keys=lambda: keys)


@asynccontextmanager
async def store_on(server: SeaweedServer, bucket: str, **changes: Any) -> AsyncIterator[S3Store]:
    """Open a store on a bucket; ``changes`` replace fields of its configuration."""
    config = replace(config_for(server, bucket), **changes)
    async with open_store(config, clock=SystemClock(), connections=16) as store:
        yield store

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sidecar.local.seaweed import SeaweedServer
from sidecar.upload.s3.object_store import S3Store
from tests.support.seaweed import store_on

from .rig import Rig, rig_on


@pytest.fixture
async def s3(seaweed: SeaweedServer, bucket: str) -> AsyncIterator[S3Store]:
    """Open the adapter on a bucket of the test's own."""
    async with store_on(seaweed, bucket) as store:
        yield store


@pytest.fixture
async def rig(s3: S3Store, bucket: str, tmp_path: Path) -> AsyncIterator[Rig]:
    """Open a sidecar's upload half over SeaweedFS."""
    async with rig_on(s3, tmp_path, bucket=bucket) as opened:
        yield opened

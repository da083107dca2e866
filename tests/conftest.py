from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from sidecar.local.seaweed import SeaweedServer


@pytest.fixture(scope="session")
def seaweed() -> Iterator[SeaweedServer]:
    """Start one real S3 server for the whole run; tests take buckets of their own."""
    with SeaweedServer() as server:
        yield server


@pytest.fixture
def bucket(seaweed: SeaweedServer) -> str:
    """Make a bucket of the test's own."""
    name = f"test-{secrets.token_hex(6)}"
    seaweed.client().create_bucket(Bucket=name)
    return name

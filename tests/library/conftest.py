"""Programs against real servers that the whole run shares; each test has a bucket and journals of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sidecar.local.convex_server import ConvexServer
from sidecar.local.seaweed import SeaweedServer


@pytest.fixture(scope="session")
def convex_server() -> Iterator[ConvexServer]:
    """Serve the real functions."""
    with ConvexServer(dev_auth=True) as server:
        yield server


@pytest.fixture
def convex(convex_server: ConvexServer) -> ConvexServer:
    """An empty Convex."""
    convex_server.control("reset", {})
    return convex_server


@pytest.fixture
def settings(tmp_path: Path, seaweed: SeaweedServer, bucket: str, convex: ConvexServer) -> dict[str, Any]:
    """What a program gives ``sidecar.open``: it watches no folder."""
    return {
        "s3": {
            "bucket": bucket,
            "endpoint_url": seaweed.endpoint_url,
            "access_key_id": seaweed.access_key,
            "secret_access_key": seaweed.secret_key,
        },
        "convex": {"url": convex.url, "auth": {"mode": "deploy_key", "deploy_key": convex.admin_key}},
        "journal": {"path": str(tmp_path / "journal" / "journal.db")},
        "retry": {"initial": "100ms", "max": "2s", "breaker_reset": "1s"},
        "shutdown": {"grace": "20s"},
    }

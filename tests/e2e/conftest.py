"""Each test gets a daemon of its own, with its own bucket, on servers that the whole run shares."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sidecar.local.convex_server import ConvexServer
from sidecar.local.seaweed import SeaweedServer
from tests.support.system import System


@pytest.fixture(scope="session")
def convex_server() -> Iterator[ConvexServer]:
    """Serve the real functions."""
    with ConvexServer(dev_auth=True) as server:
        yield server


@pytest.fixture
def system(tmp_path: Path, seaweed: SeaweedServer, convex_server: ConvexServer) -> Iterator[System]:
    """Set up a daemon that is not started yet, on an empty Convex."""
    convex_server.control("reset", {})
    system = System(tmp_path, seaweed, convex_server)
    yield system
    if system.process and system.process.poll() is None:
        system.kill()
    if system.log.exists():
        print(system.log.read_text()[-6000:])  # noqa: T201 - pytest shows it where a test fails

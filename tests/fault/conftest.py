"""Servers that nobody else uses: some tests here kill and stop them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from sidecar.local.convex_server import ConvexServer
from sidecar.local.seaweed import SeaweedServer
from tests.support.loopthread import LoopThread
from tests.support.system import eventually

from .rig import Rig


@pytest.fixture(scope="session")
def network() -> Iterator[LoopThread]:
    """Run the proxies' event loop."""
    with LoopThread() as thread:
        yield thread


@pytest.fixture(scope="session")
def convex_server() -> Iterator[ConvexServer]:
    """Serve the real functions."""
    with ConvexServer(dev_auth=True) as server:
        yield server


def running(rig: Rig) -> Iterator[Rig]:
    """Run the daemon and the poller around the tests that share it."""
    try:
        with rig.poller:
            rig.start()
            eventually("the first sweep is over", lambda: rig.s3_proxy.exchanges)
            yield rig
    finally:
        rig.clear()
        if rig.process and rig.process.poll() is None:
            rig.kill()
        rig.close()


class Garage:
    """Keeps one running rig for many tests; one that failed a check is not given out again."""

    def __init__(self, make: Callable[[], Rig]) -> None:
        """``make`` builds a rig that does not run."""
        self._make, self._runs = make, ExitStack()
        self._rig: Rig | None = None

    def get(self) -> Rig:
        """Return the rig."""
        if self._rig is None or self._rig.broken or not self._rig.runs:
            self._runs.close()
            self._rig = self._runs.enter_context(contextmanager(running)(self._make()))
        return self._rig

    def close(self) -> None:
        """End it."""
        self._runs.close()


@pytest.fixture(scope="session")
def garage(
    tmp_path_factory: pytest.TempPathFactory,
    seaweed: SeaweedServer,
    convex_server: ConvexServer,
    network: LoopThread,
) -> Iterator[Garage]:
    """Give one daemon that lives through all single faults."""
    garage = Garage(lambda: Rig(tmp_path_factory.mktemp("faults"), seaweed, convex_server, network))
    yield garage
    garage.close()


@pytest.fixture
def shared(garage: Garage) -> Rig:
    """Give the daemon that other tests have used before, and left settled."""
    return garage.get()


@pytest.fixture
def rig(
    tmp_path: Path, seaweed: SeaweedServer, convex_server: ConvexServer, network: LoopThread
) -> Iterator[Rig]:
    """Give a daemon of the test's own."""
    yield from running(Rig(tmp_path, seaweed, convex_server, network))

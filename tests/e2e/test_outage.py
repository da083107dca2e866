"""A remote that is away: said, waited out, and nobody's fault."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sidecar.local.convex_server import ConvexServer
from sidecar.local.seaweed import SeaweedServer
from tests.support.system import System, eventually, write


@pytest.fixture
def own(tmp_path: Path, convex_server: ConvexServer) -> Iterator[System]:
    """Set up a daemon with an S3 server of its own, which may go down."""
    convex_server.control("reset", {})
    with SeaweedServer(folder=tmp_path / "s3") as server:
        system = System(tmp_path, server, convex_server)
        yield system
        if system.process and system.process.poll() is None:
            system.kill()
        print(system.log.read_text()[-6000:])  # noqa: T201 - pytest shows it where a test fails


def degraded_by(system: System, word: str) -> bool:
    """Whether /status names the trouble."""
    status = system.status()
    return status["state"] == "degraded" and word in " ".join(status["reasons"])


def source(system: System, n: int) -> tuple[str, bytes]:
    """Write the n-th file."""
    name = f"demo/lesson/s{n % 5}/source/f{n}.py"
    return name, write(system.root / name, f"# {n}\n".encode())


@pytest.mark.parametrize("count", [1, 60])
def test_s3_away_costs_no_attempt(own: System, count: int) -> None:
    """A single file waiting is the hard case: nobody else's success tells that S3 is back."""
    own.start()
    own.s3.kill()
    files = dict(source(own, n) for n in range(count))
    eventually("status says so", lambda: degraded_by(own, "S3"))
    own.s3.restart()
    own.client = own.s3.client()
    own.wait_settled(synced=count)
    own.check(files)
    assert own.status()["transfers"]["dead"] == 0
    eventually("all is well", lambda: own.status()["state"] == "ok")


@pytest.mark.parametrize("count", [1, 60])
def test_convex_away_costs_no_attempt(system: System, convex_server: ConvexServer, count: int) -> None:
    """Ops wait in the outbox; uploads go on."""
    system.start()
    down = {"action": "drop_before", "times": 1_000_000}
    convex_server.control("faults", [down])
    try:
        files = dict(source(system, n) for n in range(count))
        eventually("status says so", lambda: degraded_by(system, "Convex"))
        eventually("uploads go on", lambda: len(system.keys()) == count)
    finally:
        convex_server.control("faults", [])
    system.wait_settled(synced=count)
    system.check(files)
    assert system.status()["transfers"]["dead"] == 0


def test_a_lost_answer_of_convex_applies_nothing_twice(system: System, convex_server: ConvexServer) -> None:
    """The transaction committed, the reply was dropped: the same opId again is a duplicate."""
    system.start()
    convex_server.control("faults", [{"action": "drop_after", "path": "sidecar:applyAssets", "times": 3}])
    files = dict([source(system, 1)])
    system.wait_settled(synced=1)
    convex_server.control("faults", [])
    system.check(files)
    assert [row["version"] for row in system.assets()] == [1]

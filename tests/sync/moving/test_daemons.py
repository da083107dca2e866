"""Real daemons ship while what is installed moves into the component, with a death in every batch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from sidecar.local.convex_server import ConvexServer
from sidecar.local.seaweed import SeaweedServer
from sidecar.sync.moving.project import Home, Project
from tests.support.system import System, eventually

from .conftest import Killing, former_project

FILES = 6  # of each daemon: some before, some while they are held off, some after


@pytest.fixture
def count(request: pytest.FixtureRequest) -> int:
    """How many daemons."""
    if request.config.getoption("--crash") != "all":
        pytest.skip("sixteen daemons: --crash=all")
    return 16


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[ConvexServer]:
    """What was installed before, believing every sidecar."""
    with ConvexServer(functions_dir=former_project(tmp_path / "convex"), dev_auth=True) as running:
        yield running


def write(system: System, number: int) -> None:
    """Put a source file into a scene of the system's own."""
    path = system.root / "p/lesson" / system.sidecar_id / f"source/{number}.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"# {system.sidecar_id}\nprint({number})\n")


def test_sixteen_daemons_bury_nothing(
    tmp_path: Path, count: int, deployment: ConvexServer, seaweed: SeaweedServer
) -> None:
    """Each file is an asset in the end, at its first version; no daemon has a dead letter."""
    killing = Killing(server=deployment, project=Project(into=tmp_path / "convex"))
    with ExitStack() as stack:
        systems = []
        for number in range(count):
            folder = tmp_path / f"daemon-{number}"
            folder.mkdir()
            systems.append(System(folder, seaweed, deployment))
            systems[-1].start()
            stack.callback(systems[-1].kill)
        for system in systems:
            write(system, 0)
        eventually("the first files are there", lambda: len(deployment.table("assets")) == count)
        lives = 0
        for number in range(1, FILES - 1):  # written while lives come and go
            for system in systems:
                write(system, number)
            for _ in range(4):
                lives += 1
                if killing.lived(Home.COMPONENT):
                    break
        killing.until_done(Home.COMPONENT)
        for system in systems:
            write(system, FILES - 1)
        table = "renderSidecar/assets"
        eventually("all files are there", lambda: len(deployment.table(table)) == count * FILES)
        assert {row["version"] for row in deployment.table(table)} == {1}
        for system in systems:
            assert system.status()["transfers"]["dead"] == 0

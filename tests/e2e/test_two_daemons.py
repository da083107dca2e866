"""Two daemons on one folder: on one machine, and on a volume that several machines share."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from sidecar.local.convex_server import ConvexServer
from sidecar.local.seaweed import SeaweedServer
from tests.support.system import System, eventually, write

Build = Callable[[str, Path], System]
SCENE = "demo/lesson/one"
LEASE = ".sidecar-lease"


@pytest.fixture
def build(tmp_path: Path, seaweed: SeaweedServer, convex_server: ConvexServer) -> Iterator[Build]:
    """Give daemons by name, each with a bucket and a journal of its own, over a root that is named."""
    convex_server.control("reset", {})
    systems: list[System] = []

    def one(name: str, root: Path) -> System:
        folder = tmp_path / name
        folder.mkdir()
        system = System(folder, seaweed, convex_server)
        system.settings["watch"] = [{"root": str(root), "settle": "300ms"}]
        system.module = "tests.e2e.elsewhere"
        systems.append(system)
        return system

    yield one
    for system in systems:
        if system.process and system.process.poll() is None:
            system.process.send_signal(signal.SIGCONT)
            system.kill()
        if system.log.exists():
            print(system.log.read_text()[-6000:])  # noqa: T201 - pytest shows it where a test fails


@contextmanager
def shared(below: Path, point: Path) -> Iterator[Path | None]:
    """Mount a folder as a machine of its own would; None where that is not allowed."""
    point.mkdir()
    server = subprocess.Popen([sys.executable, "-m", "tests.support.shared", below, point])
    try:
        eventually("it is mounted", lambda: os.path.ismount(point) or server.poll() is not None)
        yield point if server.poll() is None else None
    finally:
        subprocess.run(["umount", "-l", point], check=False)
        server.kill()
        server.wait()


@pytest.fixture
def views(tmp_path: Path) -> Iterator[tuple[Path, Path, dict[str, str]]]:
    """Give one folder as two machines see it, and what their daemons' environment says.

    Mounted twice by FUSE; where that cannot be, once, with a flock that fails.
    """
    folder = tmp_path / "renders"
    folder.mkdir()
    with ExitStack() as mounts:
        points = [mounts.enter_context(shared(folder, tmp_path / name)) for name in ("here", "there")]
        if None in points:
            yield folder, folder, {"NO_LOCKS": "1"}
        else:
            yield tmp_path / "here", tmp_path / "there", {}


def root_of(system: System) -> dict[str, Any]:
    """Return what /status says of the only root."""
    return dict(system.status()["watch"][0])


def answers(system: System) -> bool:
    """Tell whether the endpoint is there yet."""
    try:
        return bool(system.status())
    except OSError:
        return False


def wait_for_the_other(system: System, env: dict[str, str] | None = None) -> None:
    """Start it, and see it wait."""
    system.start(ready=False, env=env)
    eventually("it answers", lambda: answers(system))
    eventually("it waits", lambda: "another sidecar" in (root_of(system)["problem"] or ""))
    assert system.status()["state"] == "degraded"
    assert root_of(system)["lock"] is None
    with pytest.raises(OSError, match="503"):
        system.get("/readyz")


def test_the_second_daemon_of_a_machine_waits_until_the_first_has_ended(build: Build, tmp_path: Path) -> None:
    """It says so, ships nothing, and has the folder as soon as the first is killed."""
    root = tmp_path / "renders"
    root.mkdir()
    first, second = build("first", root), build("second", root)
    first.start()
    assert root_of(first)["lock"] == "by flock"
    wait_for_the_other(second)
    a = write(root / SCENE / "source" / "a.py", b"a = 1\n")
    first.wait_settled(synced=1)
    first.check({"a.py": a})
    explained = second.explain(root / SCENE / "source" / "a.py")
    assert explained["verdict"].startswith("Not sent (held): another sidecar")
    assert second.status()["transfers"]["discovered"] == 0
    first.kill()
    eventually("the second is ready", second._ready)
    b = write(root / SCENE / "source" / "b.py", b"b = 1\n")
    eventually("it ships", lambda: b in second.objects().values())
    assert list(first.objects().values()) == [a]
    assert not (root / LEASE).exists()


def test_the_second_daemon_on_a_shared_volume_waits_until_the_first_has_ended(
    build: Build, views: tuple[Path, Path, dict[str, str]]
) -> None:
    """Killed, it is missed once its heartbeat stands still; ended, it leaves nothing. Both say who has it."""
    here, there, env = views
    first, second = build("first", here), build("second", there)
    first.start(env=env)
    assert root_of(first)["lock"].startswith("by a lease file")
    assert (here / LEASE).exists()
    wait_for_the_other(second, env)
    assert f"({first.sidecar_id} on " in root_of(second)["problem"]
    a = write(here / SCENE / "source" / "a.py", b"a = 1\n")
    first.wait_settled(synced=1)
    first.check({"a.py": a})
    first.kill()
    eventually("the second is ready", second._ready)
    b = write(here / SCENE / "source" / "b.py", b"b = 1\n")
    eventually("it ships", lambda: b in second.objects().values())
    assert second.explain(there / LEASE)["verdict"].startswith("Not sent (ignored)")
    assert second.stop() == 0
    assert [path.name for path in here.iterdir()] == ["demo"]


def test_a_daemon_that_was_stopped_finds_its_folder_taken_and_ships_nothing_more(
    build: Build, views: tuple[Path, Path, dict[str, str]]
) -> None:
    """SIGSTOP in the middle of an upload; when it wakes up another one has the folder: it ends with 1."""
    here, there, env = views
    first, second = build("first", here), build("second", there)
    first.settings["upload"] = {"bandwidth": "1MB/s"}  # eight seconds for the first part, at least
    first.start(env=env)
    wait_for_the_other(second, env)
    film = write(here / SCENE / "source" / "long.py", b"#" * 40_000_000)
    eventually("it is under way", lambda: uploads(first))
    assert first.process
    first.process.send_signal(signal.SIGSTOP)
    eventually("the second is ready", second._ready)
    eventually("the second ships it", lambda: film in second.objects().values())
    sent = parts(first)
    first.process.send_signal(signal.SIGCONT)
    assert first.process.wait(30) == 1
    assert "is not this sidecar's any more: another sidecar (" in first.log.read_text()
    assert parts(first) == sent
    assert first.objects() == {}
    assert [row["s3Key"] for row in first.assets()] == []
    wait_for_the_other(first, env)
    assert first.objects() == {}
    b = write(here / SCENE / "source" / "b.py", b"b = 1\n")
    eventually("the second goes on", lambda: b in second.objects().values())


def parts(system: System) -> list[int]:
    """Return the sizes of the parts that S3 has of its open uploads."""
    return [
        part["Size"]
        for upload in uploads(system)
        for part in system.client.list_parts(
            Bucket=system.bucket, Key=upload["Key"], UploadId=upload["UploadId"]
        ).get("Parts", [])
    ]


def uploads(system: System) -> list[dict[str, Any]]:
    """Return the open uploads."""
    found: list[dict[str, Any]] = system.client.list_multipart_uploads(Bucket=system.bucket).get(
        "Uploads", []
    )
    return found

"""Programs are killed at random beside a running daemon; what was safe, and what is stored again, is once.

``--library-assets=500`` stores so many from four processes, as a platform would; by default none are.
"""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import sidecar
from sidecar.local.convex_server import ConvexServer
from sidecar.local.seaweed import SeaweedServer
from tests.support.system import System, eventually

from .storing import SESSION

PROCESSES = 4
ROOT = Path(__file__).parents[2]


def started(settings: Path, folder: Path, scene: str, how: str) -> subprocess.Popen[str]:
    """Start a program that stores a folder's files."""
    command = [sys.executable, "-m", "tests.library.storing", str(settings), str(folder), scene, how]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def killed_after(program: subprocess.Popen[str], lines: int) -> set[str]:
    """Kill a program once it has said so many names; return all that it said."""
    assert program.stdout is not None
    said = {name.strip() for _, name in zip(range(lines), program.stdout, strict=False)}
    program.kill()
    said |= {name.strip() for name in program.stdout}
    program.stdout.close()
    program.wait()
    return said


def folder_of(path: Path, count: int) -> Path:
    """Make files, each with a content of its own."""
    path.mkdir()
    for n in range(count):
        (path / f"{path.name}-{n:03}.py").write_text(f"print({path.name!r}, {n})\n")
    return path


def names(convex: ConvexServer) -> Counter[str]:
    """Count the versions of each asset that Convex has."""
    return Counter(row["name"] for row in convex.table("renderSidecar/assetVersions"))


async def test_what_a_killed_program_handed_over_is_finished_by_the_next_under_its_id(
    settings: dict[str, Any], tmp_path: Path, convex: ConvexServer
) -> None:
    """The sources are gone by then; the journal keeps its sidecar id, and goes once it owes nothing."""
    folder = folder_of(tmp_path / "files", 6)
    path = tmp_path / "sidecar.json"
    path.write_text(json.dumps(settings | {"s3": {**settings["s3"], "endpoint_url": "http://127.0.0.1:9"}}))
    said = killed_after(started(path, folder, "intro", "hand-over"), 6)
    for source in folder.iterdir():
        source.unlink()
    lib = Path(f"{settings['journal']['path']}.lib")
    (who,) = [one.read_text().strip() for one in lib.glob("*.db.id")]
    async with sidecar.open(settings):
        for _ in range(600):
            if not list(lib.iterdir()):
                break
            await asyncio.sleep(0.05)
    assert said == set(names(convex)) == {f"files-{n:03}.py" for n in range(6)}
    assert set(names(convex).values()) == {1}
    assert {row["producer"] for row in convex.table("renderSidecar/assetVersions")} == {f"deploy key|{who}"}
    assert list(lib.iterdir()) == []


@pytest.fixture
def system(tmp_path: Path, seaweed: SeaweedServer, convex: ConvexServer) -> Iterator[System]:
    """A daemon beside the programs, on the same settings."""
    system = System(tmp_path, seaweed, convex)
    system.settings["convex"]["auth"] = {"mode": "deploy_key", "deploy_key": convex.admin_key}
    yield system
    if system.process and system.process.poll() is None:
        system.kill()


async def test_the_daemon_finishes_what_a_program_left(
    system: System, convex: ConvexServer, tmp_path: Path
) -> None:
    """S3 was away until the program's grace was over, and the file has gone with it."""
    source = tmp_path / "scene.py"
    source.write_text("left")
    own = {name: value for name, value in system.settings.items() if name != "watch"}
    own |= {"s3": {**own["s3"], "endpoint_url": "http://127.0.0.1:9"}, "shutdown": {"grace": "100ms"}}
    async with sidecar.open(own) as platform:
        stored = await platform.assets.store_scene_asset(
            "intro", sidecar.AssetType.SOURCE_CODE, source, session_id=SESSION, wait=False
        )
    source.unlink()
    await asyncio.to_thread(system.start)
    lib = Path(f"{system.settings['journal']['path']}.lib")
    await asyncio.to_thread(eventually, "the journal is gone", lambda: not list(lib.iterdir()))
    (row,) = convex.table("renderSidecar/assets")
    assert (row["assetId"], row["s3Key"], row["version"]) == (stored.id, stored.s3_key, 1)
    assert system.client.get_object(Bucket=system.bucket, Key=stored.s3_key)["Body"].read() == b"left"


def test_programs_that_are_killed_beside_a_daemon_store_each_asset_once(
    system: System, convex: ConvexServer, request: pytest.FixtureRequest
) -> None:
    """Each is killed, starts again and stores all of its files; the daemon finishes what the dead left."""
    total: int = request.config.getoption("--library-assets")
    if not total:
        pytest.skip("asked for by --library-assets=500")
    chance = random.Random(request.config.getoption("--seed"))
    system.start()
    config = system.write_config()
    folders = [folder_of(system.folder / f"agent{n}", total // PROCESSES) for n in range(PROCESSES)]
    hows = ["wait", "hand-over"]
    programs = [started(config, one, one.name, hows[n % 2]) for n, one in enumerate(folders)]
    safe = [killed_after(one, chance.randrange(1, total // PROCESSES)) for one in programs]
    again = [started(config, one, one.name, hows[n % 2]) for n, one in enumerate(folders)]
    assert [one.wait(120) for one in again] == [0] * PROCESSES
    for one in again:
        assert one.stdout is not None
        one.stdout.close()
    lib = Path(f"{system.settings['journal']['path']}.lib")
    eventually("the journals of the dead are finished", lambda: not list(lib.glob("*")), seconds=150)
    wanted = {path.name: path.read_bytes() for one in folders for path in one.iterdir()}
    rows = {row["name"]: row for row in convex.table("renderSidecar/assets") if row["sessionId"] == SESSION}
    assert set().union(*safe) <= rows.keys()
    assert rows.keys() == wanted.keys()
    assert {row["version"] for row in rows.values()} == {1}
    keys = {row["s3Key"]: wanted[name] for name, row in rows.items()}
    listing = system.client.get_paginator("list_objects_v2").paginate(Bucket=system.bucket)
    assert {one["Key"] for page in listing for one in page.get("Contents", ())} == keys.keys()
    for key, content in keys.items():
        assert system.client.get_object(Bucket=system.bucket, Key=key)["Body"].read() == content

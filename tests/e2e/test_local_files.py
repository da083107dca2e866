"""``local_files``: what is synced may go, and nothing else; disks that run full are named."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.system import System, eventually, write


@pytest.fixture
def tidy(system: System) -> System:
    """Delete half a second after the acknowledgement."""
    system.settings["local_files"] = {"after_sync": "delete", "delete_after": "500ms"}
    return system


def test_what_is_synced_goes_and_what_is_not_stays(tidy: System) -> None:
    """Its object and its row stay, in every later listing, and through a restart."""
    system, scene = tidy, tidy.root / "p" / "s" / "one"
    files = {
        "a.mp4": write(scene / "video" / "a.mp4", os.urandom(100_000)),
        "scene.py": write(scene / "source" / "scene.py", b"print('hello')\n"),
    }
    write(scene / "notes.txt", b"no rule takes it")
    system.start()
    eventually("both are deleted", lambda: _left(system) == {"notes.txt"})
    system.check(files)
    system.wait_settled(synced=2)
    assert system.stop() == 0
    log = system.log.read_text()
    assert log.count('"event": "deleted_locally"') == 2
    system.start()
    again = write(scene / "source" / "scene.py", b"print('hello again')\n")
    system.wait_settled(synced=3)
    eventually("it is deleted, too", lambda: _left(system) == {"notes.txt"})
    assert again in system.objects().values()
    assert [row["version"] for row in system.assets() if row["name"] == "scene.py"] == [2]
    assert system.status()["transfers"]["synced"] == 3


def test_a_synced_file_that_is_written_to_again_is_shipped_before_it_goes(tidy: System) -> None:
    """As long as its writer has it open it stays; then its new content is a version of its own."""
    system, path = tidy, tidy.root / "p" / "s" / "one" / "source" / "scene.py"
    first = write(path, b"first = True\n")
    system.settings["local_files"]["delete_after"] = "1s"
    system.start()
    system.wait_settled(synced=1)
    with path.open("ab") as file:
        for _ in range(20):
            file.write(b"more = True\n")
            file.flush()
            assert path.exists()
            eventually("time passes", lambda: system.status()["uptime_seconds"] > 0)
    whole = path.read_bytes()
    eventually("it is deleted", lambda: not path.exists())
    objects = set(system.objects().values())
    assert {first, whole} <= objects
    assert all(whole.startswith(data) for data in objects)


def test_without_convex_nothing_is_deleted_before_it_comes_back(tidy: System) -> None:
    """S3 alone is not enough."""
    system, path = tidy, tidy.root / "p" / "s" / "one" / "source" / "scene.py"
    system.convex.control("paused", {"paused": True})
    try:
        write(path, b"print('hello')\n")
        system.start()
        eventually("it is in S3", lambda: system.status()["transfers"]["uploaded"] == 1)
        began = system.status()["uptime_seconds"]
        eventually("it could have gone", lambda: system.status()["uptime_seconds"] > began + 2)
        assert path.exists()
    finally:
        system.convex.control("paused", {"paused": False})
    eventually("it is deleted", lambda: not path.exists())


def test_full_disks_and_work_that_piles_up_are_named(system: System) -> None:
    """The renderer's disk, the journal's, and too much waiting, each in a sentence; healthy all the same."""
    system.settings["local_files"] = {"min_free": "1000TiB", "max_pending": "64KiB"}
    system.settings["s3"]["endpoint_url"] = "http://127.0.0.1:1"
    write(system.root / "p" / "s" / "one" / "video" / "a.mp4", os.urandom(200_000))
    system.start()
    beginnings = (
        f"{system.root} has ",
        "the disk that holds the journal (",
        "195KiB wait to be shipped, more than local_files.max_pending (64KiB)",
    )

    def said() -> bool:
        reasons = system.status()["reasons"]
        return all(any(reason.startswith(words) for reason in reasons) for words in beginnings)

    eventually("it is said", said)
    assert system.status()["state"] == "degraded"
    assert system.get("/healthz")["status"] == "ok"


@pytest.fixture
def small_disk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """Mount so many MiB of memory."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={request.param}m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting needs root")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.parametrize("small_disk", [96], indirect=True)
def test_a_full_journal_disk_gives_up_its_reserve_and_goes_on(system: System, small_disk: Path) -> None:
    """What is written while the disk is full is remembered all the same, and the reserve is made again."""
    system.settings["journal"] = {"path": str(small_disk / "journal.db")}
    reserve = small_disk / "journal.db.reserve"
    system.start()
    eventually("there is a reserve", reserve.exists)
    assert reserve.stat().st_blocks * 512 >= 1024 * 1024
    filler = small_disk / "filler"
    _fill(filler)
    files = {
        f"f{number}.py": write(
            system.root / "p" / "s" / f"c{number}" / "source" / f"f{number}.py", b"%d" % number
        )
        for number in range(20)
    }
    system.wait_settled(synced=len(files))
    eventually("the reserve is given up", lambda: not reserve.exists())
    eventually("it is said", lambda: "no room for its reserve" in str(system.status()["reasons"]))
    system.check(files)
    filler.unlink()
    eventually("the reserve is made again", reserve.exists)
    eventually("all is well", lambda: system.status()["state"] == "ok")


@pytest.mark.parametrize("small_disk", [24], indirect=True)
def test_a_flood_on_a_full_journal_disk_is_taken_in_as_it_is_shipped(
    system: System, small_disk: Path
) -> None:
    """New files wait while older ones need what is left: all arrive though the disk has no byte free."""
    system.settings["journal"] = {"path": str(small_disk / "journal.db")}
    system.start()
    eventually("there is a reserve", (small_disk / "journal.db.reserve").exists)
    _fill(small_disk / "filler")
    files = {
        f"f{number}.py": write(
            system.root / "p" / "s" / f"c{number}" / "source" / f"f{number}.py", b"%d" % number
        )
        for number in range(150)
    }
    system.wait_settled(synced=len(files))
    assert os.statvfs(small_disk).f_bavail * 4096 < 2 * 1024 * 1024
    system.check(files)


def _fill(path: Path) -> None:
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


def _left(system: System) -> set[str]:
    return {path.name for path in system.root.rglob("*") if path.is_file()}

"""What cannot be read for a while waits, is named, and is neither lost nor given up."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from sidecar.core.clock import SystemClock
from sidecar.core.model import State
from sidecar.files import KeptFolder, KeptFolders, open_folder, open_with_stat
from sidecar.homes import AWAY
from sidecar.obstacles import Obstacles
from sidecar.watch.os import write_lease

from .conftest import World, running

SOURCE = "p/s/one/source/scene.py"
TORN = b"\0\0\1\0ftypisom" + b"\0" * 100


def reasons(world: World) -> list[str]:
    """Return what the daemon would say."""
    return world.stage.obstacles.reasons()


async def test_a_torn_file_is_not_given_up_for_the_time_in_which_nobody_could_read_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Longer than abandon_after: its quiet begins anew with the first look."""
    closed = {"now": False}

    def refuse(root: str, path: str, kept: KeptFolder | None) -> tuple[int, os.stat_result]:
        if closed["now"]:
            raise OSError(errno.EIO, "Input/output error")
        return open_with_stat(root, path, kept)

    monkeypatch.setattr("sidecar.watch.complete.probe.open_with_stat", refuse)
    async with running(tmp_path, abandon_after=3.0) as world:
        film = world.put("p/s/one/video/a.mp4", TORN)

        async def seen() -> bool:
            candidate = world.stage._candidates.find(str(world.root), "p/s/one/video/a.mp4")
            return candidate is not None and candidate.identity is not None

        await world.until(seen)
        closed["now"] = True
        film.touch()

        async def unread_for_long() -> bool:
            candidate = world.stage._candidates.find(str(world.root), "p/s/one/video/a.mp4")
            assert candidate is not None
            return candidate.failures >= 3

        await world.until(unread_for_long)
        assert "Input/output error" in reasons(world)[0]
        closed["now"] = False

        async def looked_at_again() -> bool:
            return not reasons(world)

        await world.until(looked_at_again)
        assert (await world.states())["p/s/one/video/a.mp4"] == [State.DISCOVERED]


async def test_a_folder_that_cannot_be_read_is_a_reason_until_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its path, with the system's words and a hint."""
    closed = {"now": True}

    def refuse(root: str, folder: str, *kept: KeptFolders | None) -> int:
        if folder == "p" and closed["now"]:
            raise PermissionError(errno.EACCES, "Permission denied")
        return open_folder(root, folder, *kept)

    monkeypatch.setattr("sidecar.watch.scan.listing.open_folder", refuse)
    async with running(tmp_path, rescan=3600.0) as world:
        world.put(SOURCE)

        async def named() -> bool:
            return any(
                reason.startswith(f"{world.root}/p cannot be read since")
                and "Permission denied (let" in reason
                for reason in reasons(world)
            )

        await world.until(named)
        closed["now"] = False
        await world.until_ready(SOURCE)

        async def over() -> bool:
            return not reasons(world)

        await world.until(over)


async def test_a_candidate_of_a_root_that_was_replaced_waits(tmp_path: Path) -> None:
    """The empty folder below an unmounted volume says nothing of the files on it."""
    async with running(tmp_path, settle=30.0) as world:
        world.put(SOURCE)
        await world.stage.scan_now()
        volume = world.root.rename(tmp_path / "volume")
        world.root.mkdir()

        async def waits() -> bool:
            await world.stage.scan_now()  # else it is looked at when its quiet would be over
            return any(AWAY in reason for reason in reasons(world))

        await world.until(waits)
        for _ in range(3):
            await world.stage.scan_now()
        assert (await world.states())[SOURCE] == [State.DISCOVERED]
        world.root.rmdir()
        volume.rename(world.root)
        await world.stage.scan_now()
        assert (await world.states())[SOURCE] == [State.DISCOVERED]


async def test_a_root_that_was_removed_and_made_again_takes_its_files_along(tmp_path: Path) -> None:
    """A folder without a name was removed with all that lay in it: nobody waits for that."""
    async with running(tmp_path, settle=30.0) as world:
        file = world.put(SOURCE)
        await world.stage.scan_now()
        file.unlink()
        for folder in list(file.parents)[:4]:
            folder.rmdir()
        assert not list(world.root.iterdir())
        world.root.rmdir()
        world.root.mkdir()

        async def gone() -> bool:
            await world.stage.scan_now()
            return (await world.states())[SOURCE] == [State.GONE]

        await world.until(gone)


async def test_a_marker_that_cannot_be_read_is_tried_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that fails under it stops nothing, and the marker counts in the end."""
    failures = [OSError(errno.EIO, "Input/output error")] * 2

    def fail(fd: int) -> write_lease.WriterCheck:
        if failures:
            raise failures.pop()
        return real(fd)

    real = write_lease.take_read_lease
    monkeypatch.setattr(write_lease, "take_read_lease", fail)
    world.put("p/s/one/.complete", b"")

    async def tried() -> bool:
        return not failures

    await world.until(tried)
    assert not world.task.done()


def test_what_is_in_the_way_is_said_once() -> None:
    """However often it is met; with its age, once it is over; and never more sentences than people read."""
    obstacles = Obstacles(SystemClock())
    for _ in range(3):
        obstacles.failed("/renders/p", PermissionError(errno.EACCES, "Permission denied"))
    [reason] = obstacles.reasons()
    assert reason.startswith("/renders/p cannot be read since")
    assert obstacles.at("/renders/p/s/a.mp4") == reason
    assert obstacles.at("/renders/q") is None
    obstacles.over_above("/renders/p/s/a.mp4")
    assert obstacles.reasons() == []
    for n in range(2_000):
        obstacles.failed(f"/renders/{n}", OSError(errno.EIO, os.strerror(errno.EIO)))
    assert len(obstacles.reasons()) == 6
    assert obstacles.reasons()[-1] == "at least 995 more files or folders cannot be read"

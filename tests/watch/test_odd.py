"""What is no regular file, or has a strange name: listings, events and `explain` make the same of it."""

from __future__ import annotations

import errno
import os
import socket
import threading
from collections import Counter
from pathlib import Path

import pytest

from sidecar.core.account import Draining, FileClass, row_of
from sidecar.files import KeptFolders, open_folder
from sidecar.watch.os import links
from sidecar.watch.os.links import Follower

from .conftest import World, running

SCENE = "p/s/one"


def bind(path: Path) -> None:
    """Leave a socket; its address may be longer than a socket's address can be."""
    here = os.open(path.parent, os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"/proc/self/fd/{here}/{path.name}")
    os.close(here)


def draw(root: Path, elsewhere: Path) -> dict[str, FileClass]:
    """Draw one of each kind; returns the class of each."""
    for folder in ("logs", "video", "source"):
        (root / SCENE / folder).mkdir(parents=True, exist_ok=True)
    elsewhere.mkdir()
    (elsewhere / "run-1.log").write_bytes(b"log")

    def link(path: str, target: str) -> str:
        (root / SCENE / path).symlink_to(target)
        return f"{SCENE}/{path}"

    def made(path: str) -> Path:
        return root / SCENE / path

    os.mkfifo(made("logs/pipe.log"))
    os.mkfifo(made("video/pipe.mp4"))
    os.mkfifo(made("pipe.mp4"))
    bind(made("logs/socket"))
    bytes_of = os.fsencode(root / SCENE)
    for name in (b"logs/\xff.log", b"source/\xff.py"):
        Path(os.fsdecode(bytes_of + b"/" + name)).write_bytes(b"x")
    Path(os.fsdecode(bytes_of + b"/folder-\xff")).mkdir()
    return {
        link("logs/latest.log", f"{elsewhere}/run-1.log"): FileClass.UNMATCHED,
        link("logs/nowhere.log", "nothing"): FileClass.UNMATCHED,
        link("logs/round.log", "round.log"): FileClass.UNMATCHED,
        link("logs/film.mp4", f"{elsewhere}/run-1.log"): FileClass.MISPLACED,
        link("video/film.mp4", f"{elsewhere}/run-1.log"): FileClass.REFUSED,
        link("video/list.m3u8", f"{elsewhere}/run-1.log"): FileClass.REFUSED,
        link("logs/.latest", str(elsewhere)): FileClass.IGNORED,
        link("logs/latest", str(elsewhere)): FileClass.REFUSED,
        f"{SCENE}/logs/pipe.log": FileClass.UNMATCHED,
        f"{SCENE}/logs/socket": FileClass.UNMATCHED,
        f"{SCENE}/pipe.mp4": FileClass.MISPLACED,
        f"{SCENE}/video/pipe.mp4": FileClass.REFUSED,
        f"{SCENE}/logs/\udcff.log": FileClass.UNMATCHED,
        f"{SCENE}/source/\udcff.py": FileClass.REFUSED,
        f"{SCENE}/folder-\udcff": FileClass.REFUSED,
    }


@pytest.mark.parametrize("when", ["before", "after"])
async def test_what_is_no_file_is_what_a_file_there_would_be_unless_a_rule_takes_it(
    tmp_path: Path, when: str
) -> None:
    """By a listing, and by events; `explain` agrees on each."""
    root, elsewhere = tmp_path / "renders", tmp_path / "elsewhere"
    root.mkdir()
    truth = draw(root, elsewhere) if when == "before" else {}
    async with running(tmp_path, rescan=3600.0) as world:
        truth = truth or draw(world.root, elsewhere)
        numbers = Counter(name for name in truth.values() if name is not FileClass.IGNORED)

        async def counted() -> bool:
            counts = world.stage.status()[0].counts
            return {name: counts[name] for name in numbers} == numbers

        await world.until(counted)
        said = {path: await world.stage.explain(str(root), path) for path in truth}
        assert {path: one.file_class for path, one in said.items()} == truth
        assert "`video/` is missing in its path" in said[f"{SCENE}/pipe.mp4"].why
        shown = {one.path: one for one in world.stage.status()[0].examples}
        assert {path: one.why for path, one in shown.items()} == {path: said[path].why for path in shown}
        await world.stage.scan_now()
        assert await counted()


async def test_an_old_link_in_the_wrong_place_is_not_new(tmp_path: Path) -> None:
    """A drain counts misplaced files only if they changed since the process started, and links as well."""
    assert row_of(FileClass.MISPLACED).drain is Draining.FAILS_IF_NEW
    folder = tmp_path / "renders" / SCENE
    folder.mkdir(parents=True)
    (folder / "film.mp4").symlink_to("nothing")
    async with running(tmp_path) as world:
        await world.stage.scan_now()
        [(_, tally)] = world.stage.places(str(world.root))
        assert (tally.count, tally.new) == (1, 0)


async def test_a_folder_that_cannot_be_read_is_explained_as_such(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `wait` has it; what lies in it nobody can tell."""
    world.put(f"{SCENE}/source/scene.py")
    await world.until_ready(f"{SCENE}/source/scene.py")

    def refuse(root: str, folder: str, *kept: KeptFolders | None) -> int:
        if folder == SCENE:
            raise PermissionError(errno.EACCES, "Permission denied")
        return open_folder(root, folder, *kept)

    for module in ("listing", "path_lookup"):
        monkeypatch.setattr(f"sidecar.watch.scan.{module}.open_folder", refuse)
    await world.stage.scan_now()
    [refused] = world.stage.status()[0].examples
    found = await world.stage.explain(str(world.root), SCENE)
    assert (found.file_class, found.why) == (FileClass.REFUSED, refused.why)
    assert found.why == "the folder cannot be read: Permission denied"
    assert (await world.stage.explain(str(world.root), "p")).finding == "folder"


def test_a_share_that_does_not_answer_holds_no_listing_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lies behind its links nobody can tell; no other link is followed until it answers."""
    answers, asked = threading.Event(), list[str]()

    def hang(path: str) -> bool:
        asked.append(path)
        answers.wait()
        return False

    monkeypatch.setattr(links, "_may_be_folder", hang)
    monkeypatch.setattr(links, "ANSWER_SECONDS", 0.01)
    follower = Follower()
    assert [follower.may_be_folder(f"{tmp_path}/{number}") for number in range(3)] == [True] * 3
    assert len(asked) == 1
    answers.set()
    assert follower._stuck is not None
    follower._stuck.join()
    monkeypatch.setattr(links, "ANSWER_SECONDS", 60.0)
    assert not follower.may_be_folder(f"{tmp_path}/4")

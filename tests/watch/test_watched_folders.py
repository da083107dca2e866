"""Whether a folder counts as watched: one that is made anew may have the name and the inode of another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from sidecar.core.clock import SystemClock
from sidecar.watch.events.inotify import Inotify
from tests.support.patience import DEADLINE_SECONDS


@asynccontextmanager
async def watching(root: Path) -> AsyncIterator[tuple[Inotify, asyncio.Event]]:
    """Watch a root; the event is set once folders that were asked for are watched."""
    told = asyncio.Event()
    async with (
        asyncio.timeout(DEADLINE_SECONDS),
        Inotify(str(root), clock=SystemClock(), watch_initial=lambda _: told.set()) as notifier,
    ):
        yield notifier, told


async def heard(notifier: Inotify, path: Path) -> None:
    """Wait for an event of a path."""
    while str(path) not in {named for _, named in await notifier.next()}:
        pass


@pytest.mark.parametrize("gone", ["p", "p/s", "p/s/source"])
async def test_a_deleted_folder_is_not_watched_nor_what_was_in_it(tmp_path: Path, gone: str) -> None:
    """Whatever comes under its name is to be asked for, also if its inode is the same."""
    root = tmp_path / "renders"
    for folder in ("p/other", "p/s/source"):
        (root / folder).mkdir(parents=True)
    inodes = {folder: (root / folder).stat().st_ino for folder in ("p", "p/s", "p/s/source", "p/other")}
    async with watching(root) as (notifier, _):
        assert all(notifier.watches(*known) for known in inodes.items())
        (root / gone).rename(tmp_path / "away")
        await heard(notifier, root / gone)
        watched = {folder for folder, inode in inodes.items() if notifier.watches(folder, inode)}
    assert watched == {folder for folder in inodes if not f"{folder}/".startswith(f"{gone}/")}


async def test_what_is_deleted_while_it_is_being_watched_is_not_watched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The watch is perhaps that of the folder that was there before."""
    begin, folder = Inotify._start_watcher, tmp_path / "new"

    async def begin_slowly(notifier: Inotify, folders: Any) -> Any:
        begun = await begin(notifier, folders)
        folder.rmdir()
        await heard(notifier, folder)
        return begun

    async with watching(tmp_path) as (notifier, told):
        folder.mkdir()
        inode = folder.stat().st_ino
        await heard(notifier, folder)
        monkeypatch.setattr(Inotify, "_start_watcher", begin_slowly)
        notifier.watch_folders({"new": inode})
        await told.wait()
        assert not notifier.watches("new", inode)

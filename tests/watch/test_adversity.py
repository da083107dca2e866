"""What is not ideal: a second watcher, no leases, other users' files, a lost watcher, restarts."""

from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path
from typing import Any

import pytest

from sidecar.core.account import FileClass
from sidecar.core.findings import Finding
from sidecar.core.model import State
from sidecar.files import KeptFolder, KeptFolders, open_folder, open_with_stat
from sidecar.journal.stores.completion import Completion
from sidecar.watch.events import inotify, inotify_thread
from sidecar.watch.os import filesystem
from sidecar.watch.os.filesystem import ReadinessMethod
from sidecar.watch.ownership.flock import try_flock

from .conftest import World, running

SOURCE = "p/s/one/source/scene.py"


async def test_a_second_watcher_of_a_root_waits_and_is_not_ready(tmp_path: Path) -> None:
    """It says so, and takes over when the first ends."""
    root = tmp_path / "renders"
    root.mkdir()
    first = try_flock(str(root))
    assert first is not None
    async with running(tmp_path, until_listed=False) as world:

        async def waiting() -> bool:
            return "another sidecar" in (world.stage.status()[0].problem or "")

        await world.until(waiting)
        assert not world.stage.ready.is_set()
        os.close(first.fd)
        world.put(SOURCE)
        await world.until_ready(SOURCE)
        assert world.stage.ready.is_set()


async def test_without_leases_a_file_settles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Quiet time is all there is: a growing file is not ready, and the status says settle."""
    monkeypatch.setattr(filesystem, "calibrate", lambda _: ReadinessMethod.SETTLE)
    async with running(tmp_path, settle=0.5) as world:
        assert world.stage.status()[0].readiness == "settle"
        file = world.put(SOURCE)
        with file.open("ab") as handle:
            for _ in range(10):
                handle.write(b"more = True\n")
                handle.flush()
                await asyncio.sleep(0.1)
                assert (await world.states()).get(SOURCE, []) in ([], [State.DISCOVERED])
        await world.until_ready(SOURCE)
        assert [row.size_bytes for row in await world.rows()] == [file.stat().st_size]


async def test_listings_do_not_disturb_the_quiet(tmp_path: Path) -> None:
    """A candidate that is listed again and again still settles."""
    async with running(tmp_path, settle=30.0) as world:
        world.put(SOURCE)
        await world.stage.scan_now()
        candidate = world.stage._candidates.find(str(world.root), SOURCE)
        assert candidate is not None

        async def looked_at_since_the_last_event() -> bool:
            return candidate.why.startswith("quiet for") and not candidate.touched

        async def quiet_through_three_listings() -> bool:
            """Once: the event of the file's making may come late, and that one does begin the quiet anew."""
            since = candidate.quiet_since
            for _ in range(3):
                await world.stage.scan_now()
            return candidate.quiet_since == since

        await world.until(looked_at_since_the_last_event)
        await world.until(quiet_through_three_listings)


async def test_an_unreadable_file_is_named_and_taken_once_it_can_be_read(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is refused visibly, and never a crash."""
    closed = {"now": True}

    def refuse(root: str, path: str, kept: KeptFolder | None) -> tuple[int, os.stat_result]:
        if closed["now"]:
            raise PermissionError(13, "Permission denied")
        return open_with_stat(root, path, kept)

    monkeypatch.setattr("sidecar.watch.complete.probe.open_with_stat", refuse)
    file = world.put(SOURCE)

    async def refused() -> bool:
        return world.stage.status()[0].counts[FileClass.REFUSED] == 1

    await world.until(refused)
    found = await world.stage.explain(str(world.root), SOURCE)
    assert (found.finding, found.why) == (Finding.REFUSED, "it cannot be read: Permission denied")
    assert [one.file_class for one in world.stage.pending()] == [FileClass.REFUSED]
    closed["now"] = False
    file.chmod(0o600)
    await world.until_ready(SOURCE)
    assert world.stage.status()[0].counts[FileClass.REFUSED] == 0


async def test_a_folder_that_could_not_be_read_is_looked_at_again_soon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No event tells that a descriptor is free again, and the next full listing may be far away."""
    refusals = [OSError(errno.EMFILE, "Too many open files")] * 3

    def refuse(root: str, folder: str, *kept: KeptFolders | None) -> int:
        if folder.startswith("p") and refusals:
            raise refusals.pop()
        return open_folder(root, folder, *kept)

    monkeypatch.setattr("sidecar.watch.scan.listing.open_folder", refuse)
    async with running(tmp_path, rescan=3600.0) as world:
        world.put(SOURCE)
        await world.until_ready(SOURCE)
    assert not refusals


async def test_an_incomplete_file_is_abandoned_and_revived(tmp_path: Path) -> None:
    """After abandon_after without a writer; when it changes it is looked at again."""
    path = "p/s/manifest.json"
    async with running(tmp_path, abandon_after=0.3) as world:
        file = world.put(path, b'{"scenes": [1, 2')

        async def abandoned() -> bool:
            return (await world.states()).get(path) == [State.ABANDONED]

        await world.until(abandoned)
        await world.stage.scan_now()
        assert (await world.states())[path] == [State.ABANDONED]
        file.write_bytes(b'{"scenes": [1, 2]}')
        await world.until_ready(path)
        assert len(await world.rows()) == 1


async def test_events_lost_to_a_full_queue_are_made_up_for(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch that is too large is no batch to trust: the watcher is rebuilt and everything listed."""
    monkeypatch.setattr(inotify, "CHANGES_MAX", 0)
    before = world.stage.status()[0].last_scan_ms
    world.put("p/s/one/notes.txt")

    async def listed_again() -> bool:
        status = world.stage.status()[0]
        return status.last_scan_ms != before and status.counts[FileClass.UNMATCHED] == 1

    await world.until(listed_again)
    monkeypatch.undo()
    world.put(SOURCE)
    await world.until_ready(SOURCE)


async def test_a_change_during_the_commit_of_the_last_content_is_not_missed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its event finds a candidate that is about to leave: the file is looked at once more."""
    commit, rewritten = world.writer.do, asyncio.Event()

    async def commit_late(method: Any, *args: Any, **kwargs: Any) -> Any:
        if method is Completion.complete_all and not rewritten.is_set():
            rewritten.set()
            (world.root / SOURCE).write_bytes(b"second = True\n")
            candidate = world.stage._candidates.find(str(world.root), SOURCE)
            assert candidate is not None

            async def told() -> bool:
                return candidate.touched

            await world.until(told)
        return await commit(method, *args, **kwargs)

    monkeypatch.setattr(world.writer, "do", commit_late)
    world.put(SOURCE, b"first = True\n")

    async def second_ready() -> bool:
        return (await world.states()).get(SOURCE) == [State.SUPERSEDED, State.READY]

    await world.until(second_ready)


async def test_inotify_that_is_refused_falls_back_to_listings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The watch limit, say: the status says scan, and files arrive all the same."""

    def refuse(*_: object) -> None:
        raise OSError(28, "OS file watch limit reached")

    monkeypatch.setattr(inotify_thread, "RustNotify", refuse)
    async with running(tmp_path) as world:
        assert world.stage.status()[0].events == "scan"
        world.put(SOURCE)
        await world.until_ready(SOURCE)


async def test_a_restart_goes_on_with_the_candidates_of_the_last_run(tmp_path: Path) -> None:
    """What was discovered and not complete is looked at by the next process; the rest is passed over."""
    other = "p/s/two/source/scene.py"
    async with running(tmp_path, settle=30.0) as world:
        world.put(SOURCE)
        await world.stage.scan_now()
        assert (await world.states()) == {SOURCE: [State.DISCOVERED]}
    world.put(other)
    async with running(tmp_path) as world:
        await world.until_ready(SOURCE, other)
        await world.stage.scan_now()
        assert len(await world.rows()) == 2


async def test_a_second_source_of_a_slot_is_refused_and_shown(tmp_path: Path) -> None:
    """One name in two trees: the second waits until the first is gone for two listings."""
    first, second = "p/s/one/video/a.mp4", "p/s/one/video/sub/a.mp4"
    rule = "{project}/{session}/{scene}/video/**/*.mp4"
    async with running(tmp_path, rule=rule) as world:
        file = world.put(first, b"not really a film" * 10)
        await world.until_ready(first)
        world.put(second, b"neither is this one" * 10)

        async def refused() -> bool:
            return world.stage.status()[0].counts[FileClass.REFUSED] == 1

        await world.until(refused)
        found = await world.stage.explain(str(world.root), second)
        assert found.finding is Finding.REFUSED
        assert "belongs to" in found.why
        file.unlink()
        for _ in range(3):
            await world.stage.scan_now()
        await world.until_ready(second)
        assert world.stage.status()[0].counts[FileClass.REFUSED] == 0


async def test_links_in_circles_do_not_hold_up_the_watching(tmp_path: Path) -> None:
    """Thirty folders with two links each to the next: a watcher that followed them would be away for days."""
    farm = tmp_path / "renders" / "p" / "farm"
    for number in range(30):
        (farm / f"f{number}").mkdir(parents=True)
        for name in "xy":
            (farm / f"f{number}" / name).symlink_to(f"../f{number + 1}")
    async with running(tmp_path) as world:
        world.put(SOURCE)
        await world.until_ready(SOURCE)
        late = farm.rename(world.root / "p" / "s" / "farm")  # and in a folder that is moved in
        (late / "source").mkdir()
        world.put("p/s/farm/source/a.py")
        await world.until_ready("p/s/farm/source/a.py")
        assert world.stage.status()[0].events == "inotify"


async def test_a_folder_whose_name_is_not_utf8_does_not_end_the_events(tmp_path: Path) -> None:
    """Neither one that was there before nor one that comes: the rest is heard of at once."""
    bad = os.fsencode(tmp_path / "renders") + b"/p/\xff"
    os.makedirs(bad)  # noqa: PTH103 - pathlib has no such names
    async with running(tmp_path) as world:
        os.makedirs(bad + b"\xfe/inner")  # noqa: PTH103 - the same
        for number in range(5):
            path = f"p/s/scene{number}/source/a.py"
            world.put(path)
            await world.until_ready(path)  # in 20 s, and the next listing comes after 30
        status = world.stage.status()[0]
        assert (status.events, status.trouble) == ("inotify", None)
        assert {example.why for example in status.examples} == {"the name is not UTF-8"}


async def test_folders_of_any_number_are_heard_of_long_after_they_were_made(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The watcher is told of each new one, also where it takes the name and the inode of another."""
    monkeypatch.setattr(inotify, "NEW_FOLDERS_MAX", 8)
    monkeypatch.setattr(inotify, "RENEWAL_FACTOR", 1)
    scenes = [f"p/s/scene{number}/source" for number in range(40)]
    for scene in scenes:
        world.put(f"{scene}/first.py")
        await asyncio.sleep(0)
    again = world.root / scenes[0]
    (again / "first.py").unlink()
    again.rmdir()
    again.mkdir()
    await world.until_ready(*(f"{scene}/first.py" for scene in scenes[1:]))
    await asyncio.sleep(1.0)  # every second look at a new folder is over: now only events tell
    for scene in scenes:
        world.put(f"{scene}/second.py")
    await world.until_ready(*(f"{scene}/second.py" for scene in scenes))


async def test_watches_that_run_out_while_it_runs_are_named(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that cannot be watched any more turns the root to listings, and the status says why."""
    world.put(SOURCE)
    await world.until_ready(SOURCE)
    assert (world.stage.status()[0].events, world.stage.status()[0].trouble) == ("inotify", None)

    def refuse(*_: object) -> None:
        raise OSError("OS file watch limit reached.")

    monkeypatch.setattr(inotify_thread, "RustNotify", refuse)
    world.put("p/s/two/source/scene.py")
    await world.until_ready("p/s/two/source/scene.py")

    async def named() -> bool:
        status = world.stage.status()[0]
        return status.events == "scan" and "watch limit reached" in (status.trouble or "")

    await world.until(named)
    monkeypatch.undo()

    async def well() -> bool:
        status = world.stage.status()[0]
        return (status.events, status.trouble) == ("inotify", None)

    await world.until(well)

"""What counts as unsent: exact, by session and folder, and new or not."""

from __future__ import annotations

import os
from pathlib import Path

from sidecar.core.account import NAMED_MAX, FileClass, FileScope
from sidecar.core.findings import Finding
from sidecar.watch.scan.census import Census, Example
from sidecar.watch.started import StartTime
from tests.support.clock import ManualClock
from tests.support.journals import ship

from .conftest import World, running


async def test_what_is_misplaced_is_counted_exactly_and_by_session(world: World) -> None:
    """However many there are; a file belongs to the session whose folder it lies in."""
    for number in range(NAMED_MAX + 5):
        world.put(f"p/one/intro/{number}.mp4")
    world.put("p/two/intro/a.mp4")
    world.put("stray.mp4")
    world.put("p/two/notes.txt")
    await world.stage.scan_now()
    root = str(world.root)
    for scope, number in (
        (FileScope(), NAMED_MAX + 7),
        (FileScope(session_id="p/one"), NAMED_MAX + 5),
        (FileScope(session_id="p/two"), 1),
        (FileScope(session_id="p"), 0),
        (FileScope(root=root, path="p"), NAMED_MAX + 6),
        (FileScope(root=root, path="p/tw"), 0),
    ):
        unsent = world.stage.unsent(scope)
        assert sum(unsent.counts.values()) == number, scope
        assert len(unsent.examples) == min(number, NAMED_MAX)
        assert all("`video/` is missing" in one.why for _, one in unsent.examples if "intro" in one.path)


async def test_a_link_to_a_scene_counts_for_the_session_that_it_would_hold(
    world: World, tmp_path: Path
) -> None:
    """Whatever lies behind it is not sent; the same for a folder that may not be read."""
    (tmp_path / "elsewhere").mkdir()
    (world.root / "p").mkdir()
    (world.root / "p" / "linked").symlink_to(tmp_path / "elsewhere")
    await world.stage.scan_now()
    assert world.stage.unsent(FileScope(session_id="p/linked")).counts == {FileClass.REFUSED: 1}
    assert not world.stage.unsent(FileScope(session_id="p/other")).counts


async def test_what_was_there_before_the_process_is_not_new(tmp_path: Path) -> None:
    """It may be older than this sidecar; what is put there, or touched, since is."""
    old = tmp_path / "renders" / "p" / "s" / "old.mp4"
    old.parent.mkdir(parents=True)
    old.write_bytes(b"old")
    async with running(tmp_path) as world:
        await world.stage.scan_now()
        assert world.stage.unsent(FileScope()).new == {FileClass.MISPLACED: 0}
        world.put("p/s/new.mp4")
        await world.stage.scan_now()
        unsent = world.stage.unsent(FileScope())
        assert (unsent.counts, unsent.new) == ({FileClass.MISPLACED: 2}, {FileClass.MISPLACED: 1})
        assert [one.path for _, one in unsent.new_examples] == ["p/s/new.mp4"]
        os.utime(old)
        await world.stage.scan_now()
        assert world.stage.unsent(FileScope()).new == {FileClass.MISPLACED: 2}


def test_a_clock_that_is_set_makes_nothing_old() -> None:
    """Whichever way it is set."""
    clock = ManualClock()
    start_time, start_ns = StartTime(clock), clock.wall_ms() * 1_000_000
    clock.advance(10)
    assert start_time.new_since_ns() == start_ns
    for step_ms in (-3_600_000, 3_600_000):
        clock.wall += step_ms
        written_ns = clock.wall_ms() * 1_000_000
        assert start_time.new_since_ns() <= min(start_ns, written_ns)
        clock.wall -= step_ms


def test_a_file_is_counted_once_however_often_it_is_heard_of() -> None:
    """By events and by the listing under way."""
    census = Census()
    one = Example(path="p/a.mp4", finding=Finding.MISPLACED, why="")
    for _ in range(3):
        census.add(one)
    assert census.count(Finding.MISPLACED) == 1


def test_of_very_many_files_the_last_are_counted_once_too() -> None:
    """Nothing is forgotten of a folder, however full it is."""
    census, number = Census(), 100_010
    found = [Example(path=f"p/{n}.tmp", finding=Finding.IGNORED, why="") for n in range(number)]
    for one in [*found, *found[-10:], *found[-10:]]:
        census.add(one)
    assert census.count(Finding.IGNORED) == number


async def test_a_finding_of_a_file_that_was_delivered_before_is_told_apart(world: World) -> None:
    """Its earlier version is not what lies there now: the account must not count it twice."""
    film = world.put("p/s/intro/video/a.mp4", b"first" * 50)
    await world.until_ready("p/s/intro/video/a.mp4")
    (sent,) = await world.rows()
    await world.writer.run(ship, sent)
    world.put("p/s/intro/video/a.m3u8", b"#EXTM3U\n#EXTINF:2,\na.mp4\n")
    film.write_bytes(b"second, named by a playlist")

    async def is_held() -> bool:
        await world.stage.scan_now()
        status = world.stage.status()[0]
        return status.counts[FileClass.HELD] == 2 and status.known == 1

    await world.until(is_held)

"""From folders to `ready`, with a real journal and real folders."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from watchfiles import Change

from sidecar.core.account import FileClass
from sidecar.core.clock import SystemClock
from sidecar.core.findings import Finding
from sidecar.core.model import State
from sidecar.files import KeptFolders, open_folder
from sidecar.journal.journal import Journal
from sidecar.watch.complete import decide
from sidecar.watch.events import event_handler
from sidecar.watch.events.inotify import Inotify
from sidecar.watch.events.inotify_thread import InotifyThread
from sidecar.watch.scan import listing, root_scan
from tests.support.patience import DEADLINE_SECONDS

from .conftest import World, running

SOURCE = "p/s/one/source/scene.py"


async def test_a_file_becomes_ready(world: World) -> None:
    """A written file is noticed, settles, and is fingerprinted."""
    world.put(SOURCE)
    await world.until_ready(SOURCE)
    [row] = await world.rows()
    assert row.size_bytes == 15
    assert row.checksum is not None
    assert row.checksum.startswith("crc64nvme:")


async def test_what_was_there_before_the_start_is_ready_too(tmp_path: Path) -> None:
    """The first listing finds what no event tells."""
    file = tmp_path / "renders" / SOURCE
    file.parent.mkdir(parents=True)
    file.write_bytes(b"x = 1\n")
    async with running(tmp_path) as world:
        await world.until_ready(SOURCE)


def begin_new_journal(tmp_path: Path) -> None:
    """Begin it as the daemon does: what the first scan finds is held."""
    path = tmp_path / "state" / "journal.db"
    journal = Journal(path, tag="T" * 8, bucket="lessons", clock=SystemClock())
    journal.recovery.begin_recovery()
    journal.close()


def torn_film(tmp_path: Path, scene: str) -> Path:
    """Write an MP4 that its writer did not finish."""
    film = tmp_path / "renders" / "p" / "s" / scene / "video" / "a.mp4"
    film.parent.mkdir(parents=True)
    film.write_bytes(b"\0\0\1\0ftypisom" + b"\0" * 100)
    return film


async def test_a_new_journals_scene_in_which_somebody_writes_is_told(tmp_path: Path) -> None:
    """By lease, or by a change between two looks; a file that only settles is none of that."""
    begin_new_journal(tmp_path)
    torn = torn_film(tmp_path, "torn")
    files = [torn.parents[2] / scene / "video" / "a.ts" for scene in ("settling", "open")]
    for file in files:
        file.parent.mkdir(parents=True)
        file.write_bytes(b"G" * 1000)
    with files[1].open("ab"):
        async with running(tmp_path) as world:
            await world.until(lambda: _are_recalled(world, {"settling", "torn"}))
            await world.until_ready("p/s/settling/video/a.ts")
            assert await _are_recalled(world, {"settling", "torn"})
            torn.write_bytes(torn.read_bytes() + b"\0" * 50)
            await world.until(lambda: _are_recalled(world, {"settling"}))


async def test_a_new_journal_finds_a_cancelled_scene_as_it_was_left(tmp_path: Path) -> None:
    """What is incomplete is abandoned; what is complete is not, though the marker is read before it."""
    begin_new_journal(tmp_path)
    torn = torn_film(tmp_path, "one")
    torn.with_name("b.ts").write_bytes(b"G" * 1000)
    torn.parents[1].joinpath(".cancelled").touch()
    async with running(tmp_path) as world:
        await world.until_ready("p/s/one/video/b.ts")

        async def is_abandoned() -> bool:
            return (await world.states())["p/s/one/video/a.mp4"] == [State.ABANDONED]

        await world.until(is_abandoned)
        assert world.stage.pending() == []


async def _are_recalled(world: World, scenes: set[str]) -> bool:
    rows = await world.writer.run(
        lambda journal: journal.db.execute("SELECT scene_id FROM scenes WHERE recalled = 1").fetchall()
    )
    return {row["scene_id"] for row in rows} == scenes


async def test_folders_made_and_filled_at_once_miss_no_file(world: World) -> None:
    """mkdir -p and files at once: events miss half of them, the walks of new folders none."""
    paths = [f"p/s{n // 50}/scene{n}/source/a{m}.py" for n in range(100) for m in range(3)]
    for path in paths:
        world.put(path, path.encode())
    await world.until_ready(*paths)


async def test_what_comes_before_a_new_folder_is_watched_is_found_once_it_is(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once, not with what is looked at a little later: no event tells of it."""
    monkeypatch.setattr(event_handler, "AGAIN_SECONDS", 3600.0)
    asked, filled, start = asyncio.Event(), asyncio.Event(), Inotify._start_watcher

    async def held(notifier: Inotify, folders: Iterable[str]) -> InotifyThread:
        asked.set()
        await filled.wait()
        return await start(notifier, folders)

    monkeypatch.setattr(Inotify, "_start_watcher", held)
    world.put("p/s/one/source/first.py")
    await asyncio.wait_for(asked.wait(), DEADLINE_SECONDS)
    world.put("p/s/one/source/second.py")
    filled.set()
    await world.until_ready("p/s/one/source/first.py", "p/s/one/source/second.py")


async def test_what_was_closed_before_a_new_folder_is_watched_is_looked_at_once_it_is(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No event tells of it, and its second listing shows it as the first one did."""
    monkeypatch.setattr(decide, "BUSY_AGAIN_SECONDS", 3600.0)
    closed, start = asyncio.Event(), Inotify._start_watcher

    async def held(notifier: Inotify, folders: Iterable[str]) -> InotifyThread:
        await closed.wait()
        return await start(notifier, folders)

    async def is_written() -> bool:
        return any("open for writing" in candidate.why for candidate in world.stage.pending())

    monkeypatch.setattr(Inotify, "_start_watcher", held)
    aside = world.root.parent / "aside" / "s" / "one" / "source" / "scene.py"
    aside.parent.mkdir(parents=True)
    with aside.open("wb", buffering=0) as file:
        file.write(b"open = True\n")
        aside.parents[3].rename(world.root / "p")
        await world.until(is_written)
    closed.set()
    await world.until_ready(SOURCE)


async def test_a_folder_that_was_away_for_a_moment_is_walked_again(world: World) -> None:
    """It has the same inode, and was listed a moment before: what it got meanwhile is found all the same."""
    world.put(SOURCE)
    await world.until_ready(SOURCE)
    scene = world.root / "p" / "s" / "one"
    away = scene.rename(world.root.parent / "away")
    (away / "source" / "more.py").write_bytes(b"more = True\n")
    await asyncio.sleep(
        0.3
    )  # until its watch, which goes along with it, has told of a path that is not there
    away.rename(scene)
    await world.until_ready("p/s/one/source/more.py")


async def test_a_new_folder_is_listed_once_more_and_no_more(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once when it is noticed, once when it is watched, however many watchers tell of it."""
    listed, list_pieces = Counter[str](), listing.list_pieces

    def counted(root: str, folder: str, *how: Any) -> Iterator[listing.Listing]:
        listed[folder] += 1
        return list_pieces(root, folder, *how)

    async def is_watched() -> bool:
        return listed["p"] == 2

    monkeypatch.setattr(root_scan, "list_pieces", counted)
    aside = world.root.parent / "aside"
    (aside / "s").mkdir(parents=True)
    aside.rename(world.root / "p")
    await world.until(is_watched)
    handler = world.stage._roots[str(world.root)]._handler
    await handler.handle({(Change.added, str(world.root / "p"))})
    assert listed == {"p": 2, "p/s": 2}


async def test_a_folder_that_is_renamed_in_is_walked(world: World) -> None:
    """A folder moved into the tree reports only itself."""
    outside = world.root.parent / "outside"
    (outside / "one" / "source").mkdir(parents=True)
    (outside / "one" / "source" / "scene.py").write_bytes(b"moved = True\n")
    (world.root / "p").mkdir()
    outside.rename(world.root / "p" / "s")
    await world.until_ready(SOURCE)


async def test_a_file_that_is_renamed_in_becomes_ready(world: World) -> None:
    """Written under an ignored name, then renamed."""
    part = world.put("p/s/one/source/scene.py.part", b"done = True\n")
    part.rename(part.with_suffix(""))
    await world.until_ready(SOURCE)
    assert list(await world.states()) == [SOURCE]


async def test_a_rewritten_file_is_three_versions(world: World) -> None:
    """A -> B -> A: what is owed is always the newest content."""
    for content in (b"A = 1\n", b"B = 2\n", b"A = 1\n"):
        file = world.put(SOURCE, content)
        size = len(content)

        async def shown(expected: int = file.stat().st_mtime_ns) -> bool:
            rows = await world.rows()
            newest = rows[-1] if rows else None
            return bool(newest and newest.identity and newest.identity.mtime_ns == expected)

        await world.until(shown)
        assert size == 6
    states = (await world.states())[SOURCE]
    assert states == [State.SUPERSEDED, State.SUPERSEDED, State.READY]


async def test_a_touched_file_is_no_new_version(world: World) -> None:
    """Another mtime, the same bytes: the candidate is dropped."""
    file = world.put(SOURCE)
    await world.until_ready(SOURCE)
    os.utime(file, ns=(1, 1))

    async def remembered() -> bool:
        rows = await world.rows()
        return len(rows) == 1 and rows[0].identity is not None and rows[0].identity.mtime_ns == 1

    await world.until(remembered)
    assert (await world.states())[SOURCE] == [State.READY]


async def test_a_file_deleted_before_it_is_read_is_gone(tmp_path: Path) -> None:
    """It leaves no candidate behind."""
    async with running(tmp_path, settle=30.0) as world:
        file = world.put(SOURCE)

        async def seen() -> bool:
            return bool(world.stage.pending())

        await world.until(seen)
        file.unlink()

        async def gone() -> bool:
            return (await world.states()) == {SOURCE: [State.GONE]} and not world.stage.pending()

        await world.until(gone)


async def test_a_name_that_is_not_utf8_stops_nothing(world: World) -> None:
    """The watcher breaks at it and is rebuilt; the name is shown, the next file is noticed."""
    folder = world.put("p/s/one/source/first.py").parent
    await world.until_ready("p/s/one/source/first.py")
    Path(os.fsdecode(os.fsencode(folder) + b"/bad\xff.py")).write_bytes(b"no")

    async def shown() -> bool:
        return any("bad" in example.path for example in world.stage.status()[0].examples)

    await world.until(shown)
    world.put("p/s/one/source/second.py")
    await world.until_ready("p/s/one/source/second.py")
    assert world.stage.status()[0].counts[FileClass.REFUSED] == 1


async def test_a_root_that_is_made_again_is_watched_again(world: World) -> None:
    """Deleted and made anew: another inode under the same name."""
    world.put(SOURCE)
    await world.until_ready(SOURCE)
    shutil.rmtree(world.root)

    async def missing() -> bool:
        return world.stage.status()[0].problem is not None

    await world.until(missing)
    world.put("p/s/two/source/scene.py")
    await world.until_ready("p/s/two/source/scene.py")
    assert world.stage.status()[0].problem is None
    world.put("p/s/three/source/scene.py")
    await world.until_ready("p/s/three/source/scene.py")


async def test_a_missing_root_does_not_hold_up_the_start(tmp_path: Path) -> None:
    """It is shown as missing, and watched once it is there."""
    async with running(tmp_path, make_root=False) as world:
        assert world.stage.ready.is_set()
        assert world.stage.status()[0].problem == "the folder does not exist"
        await asyncio.wait_for(world.stage.scan_now(), 5)
        assert not world.stage.seen.is_set(), "nobody knows what lies there"
        world.put(SOURCE)
        await world.until_ready(SOURCE)
        await asyncio.wait_for(world.stage.seen.wait(), 5)


async def test_links_and_pipes_are_named_and_never_read(world: World) -> None:
    """Symbolic links to secrets, in place of files or folders; a FIFO does not block."""
    secret = world.root.parent / "secret"
    secret.mkdir()
    (secret / "key.py").write_bytes(b"secret = 1\n")
    folder = world.put(SOURCE).parent
    (folder / "link.py").symlink_to(secret / "key.py")
    (folder.parent / "thumbnails").symlink_to(secret)
    (world.root / "p" / "s2").symlink_to(secret)
    os.mkfifo(folder / "pipe.py")
    await world.until_ready(SOURCE)
    await world.stage.scan_now()
    status = world.stage.status()[0]
    assert status.counts[FileClass.REFUSED] == 4
    assert {example.path: example.why for example in status.examples} == {
        "p/s/one/source/link.py": "a symbolic link is never sent",
        "p/s/one/thumbnails": "a symbolic link is never sent",
        "p/s2": "a symbolic link is never sent",
        "p/s/one/source/pipe.py": "a named pipe is never sent",
    }
    assert list(await world.states()) == [SOURCE]
    found = await world.stage.explain(str(world.root), "p/s/one/thumbnails/key.py")
    assert (found.finding, found.why) == (
        Finding.REFUSED,
        "p/s/one/thumbnails is a symbolic link; none is followed",
    )


async def test_what_is_not_sent_is_counted_and_explained(world: World) -> None:
    """Unmatched, ignored, held and missing paths each say why."""
    world.put("notes.txt")
    world.put("p/s/one/video/list.m3u8")
    world.put("p/s/one/source/.hidden.py")
    await world.stage.scan_now()
    status = world.stage.status()[0]
    assert (
        status.counts[FileClass.UNMATCHED],
        status.counts[FileClass.HELD],
        status.counts[FileClass.REFUSED],
    ) == (1, 1, 0)
    root = str(world.root)
    findings = {
        path: (await world.stage.explain(root, path)).finding
        for path in (
            "notes.txt",
            "p/s/one/video/list.m3u8",
            "p/s/one/source/.hidden.py",
            "nothing",
            "p",
            "../x",
        )
    }
    assert list(findings.values()) == [
        Finding.UNMATCHED,
        Finding.HELD,
        Finding.IGNORED,
        Finding.MISSING,
        Finding.FOLDER,
        Finding.MISSING,
    ]


async def test_a_second_source_of_one_slot_is_refused_until_the_first_is_gone(world: World) -> None:
    """Two listings that no longer find the first let the second in: here a folder that was renamed."""
    first = world.put("p/s/one/source/scene.py", b"a = 1\n")
    await world.until_ready(SOURCE)
    status = world.stage.status()[0]
    assert status.counts[FileClass.REFUSED] == 0
    first.parent.rename(world.root / "elsewhere")
    await world.stage.scan_now()
    await world.stage.scan_now()
    remembered = await world.writer.run(
        lambda journal: journal.files.known(str(world.root), "p/s/one/source")
    )
    assert remembered == {}


async def test_a_scene_marker_reaches_the_journal(world: World) -> None:
    """`.complete` is read although dot files are ignored; its number of chunks is taken."""
    world.put("p/s/one/.complete", b'{"chunks": 12}')

    async def marked() -> bool:
        rows = await world.writer.run(
            lambda journal: journal.db.execute(
                "SELECT scene_id, chunks, complete_mtime_ns FROM scenes"
            ).fetchall()
        )
        return [tuple(row)[:2] for row in rows] == [("one", 12)]

    await world.until(marked)


@pytest.mark.parametrize("count", ["-1", "1.5", '"many"', "true", "1" + "0" * 40])
async def test_a_marker_that_counts_nonsense_is_an_empty_one(world: World, count: str) -> None:
    """It completes its scene, and says how many chunks there are no more than an empty one."""
    world.put("p/s/one/.complete", b'{"chunks": ' + count.encode() + b"}")

    async def marked() -> bool:
        rows = await world.writer.run(
            lambda journal: journal.db.execute("SELECT chunks, complete_mtime_ns FROM scenes").fetchall()
        )
        return [(row[0], row[1] is None) for row in rows] == [(None, False)]

    await world.until(marked)


async def test_a_listing_alone_notices_everything(tmp_path: Path) -> None:
    """events: scan, where inotify sees nothing."""
    async with running(tmp_path, events="scan") as world:
        assert world.stage.status()[0].events == "scan"
        world.put(SOURCE)
        await world.until_ready(SOURCE)


async def test_a_scan_on_request_covers_what_was_written_before_it(world: World) -> None:
    """Whoever asks finds every earlier file in the journal, whatever events were lost."""
    paths = [f"p/s/scene{n}/source/a.py" for n in range(50)]
    for path in paths:
        world.put(path)
    await world.stage.scan_now()
    assert set(await world.states()) == set(paths)


async def test_the_root_itself_is_a_folder(world: World) -> None:
    """So that `wait` takes the whole root, as it takes any folder below it."""
    found = await world.stage.explain(str(world.root), "")
    assert found.finding == Finding.FOLDER


async def test_an_unreadable_folder_says_nothing_of_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often it is listed: its files are not missing."""
    async with running(tmp_path, settle=30.0) as world:
        world.put(SOURCE)
        await world.stage.scan_now()

        def refuse(root: str, path: str, *kept: KeptFolders | None) -> int:
            if path.endswith("source"):
                raise PermissionError(13, "Permission denied")
            return open_folder(root, path, *kept)

        monkeypatch.setattr("sidecar.watch.scan.listing.open_folder", refuse)
        for _ in range(3):
            await world.stage.scan_now()
        assert (await world.states()) == {SOURCE: [State.DISCOVERED]}


async def test_a_path_that_cannot_be_seen_is_not_said_to_be_missing(world: World) -> None:
    """Below a folder that we may not enter, or longer than the system takes."""
    found = await world.stage.explain(str(world.root), "x" * 300)
    assert found.finding == Finding.REFUSED
    assert "too long" in found.why

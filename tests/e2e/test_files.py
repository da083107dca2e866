"""Every regular complete file arrives once and equal; everything else is named and never leaves."""

from __future__ import annotations

import os
import random
import stat
from functools import partial
from pathlib import Path

import pytest

from tests.support.system import System, checksum, eventually, write

MIB = 1024 * 1024
SESSION = "demo/lesson"


def blob(size: int, seed: int = 0) -> bytes:
    """Return bytes that no structure check takes for anything."""
    return random.Random(seed).randbytes(size)


def text(name: str) -> bytes:
    """Return a small complete file."""
    return f"print({name!r})\n".encode()


def versions_are(system: System, wanted: list[int]) -> bool:
    """Compare the versions of all rows."""
    return [row["version"] for row in system.assets()] == wanted


def test_files_of_every_size_arrive_once_and_equal(system: System) -> None:
    """Empty, one byte, one part less and more a byte, many parts."""
    sizes = [0, 1, 7, 8 * MIB - 1, 8 * MIB, 8 * MIB + 1, 16 * MIB, 64 * MIB]
    system.start()
    files = {}
    for n, size in enumerate(sizes):
        name = f"video/c{n:03}.mp4" if size > MIB else f"source/c{n:03}.py"
        files[name] = write(system.root / SESSION / "s1" / name, blob(size, n))
    system.wait_settled(synced=len(files))
    system.check(files)
    rows = {row["name"]: row for row in system.assets()}
    assert rows["c003.mp4"]["contentType"] == "video/mp4"
    assert {row["version"] for row in rows.values()} == {1}
    assert [rows[Path(name).name]["index"] for name in files] == list(range(len(sizes)))


def test_what_lay_there_before_the_start_is_shipped(system: System) -> None:
    """A start is a scan."""
    files = {
        f"{SESSION}/s{n}/source/scene.py": write(
            system.root / f"{SESSION}/s{n}/source/scene.py", text(str(n))
        )
        for n in range(20)
    }
    system.start()
    system.wait_settled(synced=20)
    system.check(files)


def test_folders_made_and_filled_at_once_lose_nothing(system: System) -> None:
    """Inotify alone misses about half of these."""
    system.start()
    files = {}
    for n in range(200):
        name = f"p{n % 3}/session {n % 7}/scène {n}/source/scene.py"
        files[name] = write(system.root / name, text(name))
    system.wait_settled(synced=200)
    system.check(files)


def test_a_folder_renamed_in_brings_its_files(system: System) -> None:
    """The rename is reported, its files are not."""
    outside = system.folder / "outside"
    data = write(outside / "s1/source/scene.py", text("in"))
    (system.root / SESSION).mkdir(parents=True)
    system.start()
    (outside / "s1").rename(system.root / SESSION / "s1")
    system.wait_settled(synced=1)
    system.check({f"{SESSION}/s1/source/scene.py": data})


def test_a_b_a_is_three_versions_of_one_row(system: System) -> None:
    """Each was synced before the next came."""
    system.start()
    path = system.root / SESSION / "s1/source/scene.py"
    for n, word in enumerate("ABA", start=1):
        write(path, text(word))
        eventually(f"version {n}", partial(versions_are, system, [n]))
    versions = system.convex.control("table/renderSidecar/assetVersions")
    assert len([v for v in versions if f"/{system.bucket}/" in v["s3Url"]]) == 3
    assert len(system.objects()) == 3


def test_a_touched_file_is_no_new_version(system: System) -> None:
    """Another mtime, the same bytes."""
    system.settings["logging"] = {"level": "debug"}
    system.start()
    path = system.root / SESSION / "s1/source/scene.py"
    data = write(path, text("A"))
    system.wait_settled(synced=1)
    os.utime(path)
    path.chmod(0o600)
    eventually("the touch was looked at", lambda: "unchanged" in system.log.read_text())
    system.wait_settled(synced=1)
    system.check({"scene.py": data})


def test_the_same_scene_name_in_two_sessions_is_two_scenes(system: System) -> None:
    """Scene ids are unique within a session only."""
    system.start()
    one = write(system.root / "demo/a/s1/source/x.py", text("a"))
    two = write(system.root / "demo/b/s1/source/x.py", text("b"))
    system.wait_settled(synced=2)
    system.check({"demo/a/s1/source/x.py": one, "demo/b/s1/source/x.py": two})
    assert {row["sessionId"] for row in system.assets()} == {"demo/a", "demo/b"}


def test_odd_names_keep_their_names(system: System) -> None:
    """Spaces, emoji, quotes, percent signs, braces, and names as long as a file system takes."""
    system.start()
    names = [
        "a b.py",
        "🎬 scène.py",
        'it\'s "so".py',
        "100%25.py",
        "{transfer}.py",
        "#?&=+;.py",
        "x" * 252 + ".py",
    ]
    files = {
        f"{SESSION}/s1/source/{name}": write(system.root / SESSION / "s1/source" / name, text(name))
        for name in names
    }
    system.wait_settled(synced=len(names))
    system.check(files)
    assert {row["name"] for row in system.assets()} == set(names)


def test_what_is_no_regular_file_with_a_rule_never_leaves(system: System) -> None:
    """And each of them is named where an operator looks."""
    secret = write(system.folder / "secret.txt", b"canary-of-a-secret")
    folder = system.root / SESSION / "s1/source"
    folder.mkdir(parents=True)
    (folder / "link.py").symlink_to(system.folder / "secret.txt")
    (system.root / SESSION / "s2").symlink_to(system.folder)
    os.mkfifo(folder / "pipe.py")
    write(folder / "unmatched.xyz", b"no rule")
    bad = os.fsencode(folder) + b"/\xff\xfe.py"
    fd = os.open(bad, os.O_CREAT | os.O_WRONLY)
    os.write(fd, b"name")
    os.close(fd)
    video = system.root / SESSION / "s1/video"
    write(video / "playlist.m3u8", b"#EXTM3U\n")
    good = write(folder / "good.py", text("good"))
    system.start()
    system.wait_settled(synced=1)
    system.check({"good.py": good})
    assert secret not in system.objects().values()
    words = {
        folder / "link.py": "symbolic link",
        folder / "pipe.py": "pipe",
        folder / "unmatched.xyz": "no rule",
        video / "playlist.m3u8": "HLS",
    }
    for path, word in words.items():
        assert word in str(system.explain(path)), path
    assert "utf-8" in str(system.explain(bad)).lower()
    (entry,) = system.status()["watch"]
    assert entry["unmatched"] >= 1
    assert entry["refused"] >= 2


def test_an_unreadable_file_is_named_and_shipped_once_it_can_be_read(system: System) -> None:
    """Without a restart."""
    if os.geteuid() == 0:
        pytest.skip("root reads everything")
    system.settings["watch"][0]["rescan"] = "300ms"
    path = system.root / SESSION / "s1/source/locked.py"
    data = write(path, text("locked"))
    path.chmod(0)
    system.start()
    eventually("it is refused", lambda: system.status()["watch"][0]["refused"] == 1)
    path.chmod(stat.S_IRUSR)
    system.wait_settled(synced=1)
    system.check({"locked.py": data})


def test_a_file_deleted_before_it_is_complete_is_gone(system: System) -> None:
    """No dead letter, nothing owed."""
    system.settings["watch"][0]["settle"] = "1s"
    system.start()
    path = system.root / SESSION / "s1/source/short.py"
    write(path, text("short"))
    eventually("it was seen", lambda: system.status()["transfers"]["discovered"] == 1)
    path.unlink()
    eventually("it is gone", lambda: system.status()["transfers"]["gone"] == 1)
    assert system.objects() == {}


def test_a_root_that_is_deleted_and_made_again_is_watched_again(system: System) -> None:
    """Renderers clean up with rm -rf."""
    system.settings["watch"][0]["rescan"] = "300ms"
    system.start()
    system.root.rmdir()
    eventually("it is missed", lambda: system.status()["state"] == "degraded")
    system.root.mkdir()
    data = write(system.root / SESSION / "s1/source/again.py", text("again"))
    system.wait_settled(synced=1)
    system.check({"again.py": data})


def test_a_big_file_overtaken_by_a_small_one_leaves_the_small_one(system: System) -> None:
    """The last complete state always arrives."""
    system.settings["upload"] = {"bandwidth": "20MB/s"}
    system.start()
    path = system.root / SESSION / "s1/video/c1.mp4"
    write(path, blob(40 * MIB))
    eventually("the big one is on its way", system.open_uploads)
    draft = path.with_suffix(".mp4.tmp")
    small = write(draft, blob(1000))
    draft.rename(path)
    system.wait_settled(synced=1)
    eventually("only the small one is left", lambda: list(system.objects().values()) == [small])
    system.check({"c1.mp4": small})
    assert [row["checksum"] for row in system.assets()] == [checksum(small)]


def test_ls_of_the_root_stays_as_it_was(system: System) -> None:
    """Sources are untouched: the sidecar leaves no file of its own behind."""
    system.start()
    path = system.root / SESSION / "s1/source/x.py"
    write(path, text("x"))
    before = path.stat()
    system.wait_settled(synced=1)
    after = path.stat()
    assert (before.st_mtime_ns, before.st_mode, before.st_ino) == (
        after.st_mtime_ns,
        after.st_mode,
        after.st_ino,
    )
    assert sorted(p.name for p in Path(system.root).rglob("*") if p.is_file()) == ["x.py"]

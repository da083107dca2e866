"""Leases, volumes, safe opening and fingerprints, on real files."""

from __future__ import annotations

import fcntl
import mmap
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from sidecar.core import parts
from sidecar.core.model import Fingerprint, PartChecksums
from sidecar.files import (
    KeptFolder,
    KeptFolders,
    NotRegularError,
    checksum_of,
    open_folder,
    open_regular,
    stat_identity,
)
from sidecar.watch.complete import fingerprint
from sidecar.watch.complete.fingerprint import Changed, Vanished
from sidecar.watch.os import write_lease
from sidecar.watch.os.filesystem import Filesystems, ReadinessMethod, calibrate, is_local, is_remote, kind_of
from sidecar.watch.os.write_lease import WriterCheck
from sidecar.watch.ownership.flock import device_and_inode, try_flock


@pytest.fixture(autouse=True)
def _no_sigio() -> None:
    write_lease.prepare()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Write a small file."""
    path = tmp_path / "a" / "file"
    path.parent.mkdir()
    path.write_bytes(b"123456789")
    return path


def lease_of(path: Path) -> WriterCheck:
    """Probe a file by name."""
    fd = os.open(path, os.O_RDONLY)
    try:
        return write_lease.take_read_lease(fd)
    finally:
        os.close(fd)


def test_a_file_open_for_writing_is_busy_until_it_is_closed(file: Path) -> None:
    """Also through a hard link, and for a mapping whose descriptor is closed."""
    assert lease_of(file) is WriterCheck.FREE
    with file.open("ab"):
        assert lease_of(file) is WriterCheck.BUSY
        link = file.with_name("link")
        os.link(file, link)
        assert lease_of(link) is WriterCheck.BUSY
    assert lease_of(file) is WriterCheck.FREE
    with file.open("r+b") as handle:
        mapping = mmap.mmap(handle.fileno(), 0)
    assert lease_of(file) is WriterCheck.BUSY
    mapping.close()
    assert lease_of(file) is WriterCheck.FREE


def test_a_reader_is_no_writer(file: Path) -> None:
    """Players and copies may have it open."""
    with file.open("rb"):
        assert lease_of(file) is WriterCheck.FREE


def test_calibration_leaves_nothing_behind(tmp_path: Path) -> None:
    """Its own file is gone; a folder that cannot be written to means settle."""
    for folder, readiness in ((tmp_path, ReadinessMethod.LEASE), (Path("/proc"), ReadinessMethod.SETTLE)):
        fd = os.open(folder, os.O_RDONLY)
        try:
            assert calibrate(fd) is readiness
        finally:
            os.close(fd)
    assert list(tmp_path.iterdir()) == []


def test_a_kill_while_a_volume_is_measured_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file of ours has no name, at any moment."""
    seen: list[list[Path]] = []
    probe = write_lease.take_read_lease

    def look(fd: int) -> WriterCheck:
        seen.append(list(tmp_path.iterdir()))
        return probe(fd)

    monkeypatch.setattr("sidecar.watch.os.filesystem.write_lease.take_read_lease", look)
    fd = os.open(tmp_path, os.O_RDONLY)
    try:
        assert calibrate(fd) is ReadinessMethod.LEASE
    finally:
        os.close(fd)
    assert seen == [[], []]


def test_a_volume_that_needs_names_is_measured_with_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a file without a name cannot be made, a dot file does, and goes."""
    monkeypatch.setattr("sidecar.watch.os.filesystem.os.O_TMPFILE", os.O_DIRECTORY)
    fd = os.open(tmp_path, os.O_RDONLY)
    try:
        assert calibrate(fd) is ReadinessMethod.LEASE
    finally:
        os.close(fd)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_was_swapped_for_a_link_is_not_written_to(tmp_path: Path) -> None:
    """What a volume can do is measured in the very folder of a file; a link in its place leads nowhere."""
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    root.mkdir()
    elsewhere.mkdir()
    (root / "folder").symlink_to(elsewhere)
    before = elsewhere.stat().st_mtime_ns
    assert Filesystems().readiness(str(root), "folder", elsewhere.stat().st_dev) is ReadinessMethod.SETTLE
    assert elsewhere.stat().st_mtime_ns == before


def test_a_file_of_another_user_gives_no_answer_without_the_capability(tmp_path: Path) -> None:
    """Per file: its volume may well know leases."""
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents:
        if parent.stat().st_mode & 0o5 != 0o5:
            pytest.skip(f"{parent} is closed to other users")
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    path = tmp_path / "roots"
    path.write_bytes(b"x")
    path.chmod(0o644)
    program = (
        "import fcntl, os, sys\n"
        "try:\n    fcntl.fcntl(os.open(sys.argv[1], os.O_RDONLY), fcntl.F_SETLEASE, fcntl.F_RDLCK)\n"
        "except OSError as error:\n    print(error.errno)"
    )
    result = subprocess.run(
        [sys.executable, "-I", "-c", program, path],
        user=65534,
        group=65534,
        capture_output=True,
        text=True,
        check=True,
    )
    refusal = OSError(int(result.stdout), "refused")
    assert write_lease._refusal(refusal) is WriterCheck.UNAVAILABLE


def test_remote_file_systems_are_known_by_their_mount(tmp_path: Path) -> None:
    """By the mount's number, which an open file knows. Of what cannot be told, no flock is enough."""
    (tmp_path / "fdinfo").mkdir()
    (tmp_path / "mountinfo").write_text(
        "1 0 8:1 / / rw - ext4 /dev/a rw\n"
        "22 1 0:5 / /mnt/my\\040nfs rw shared:1 - nfs4 server:/ rw\n"
        "3 1 0:6 / /mnt/s rw - fuse.sshfs host rw\n"
        "4 1 0:7 / /mnt/o rw - overlay o rw\n"
    )
    for mount in (1, 22, 3, 4, 5):
        (tmp_path / "fdinfo" / str(mount)).write_text(f"pos:\t0\nflags:\t02\nmnt_id:\t{mount}\nino:\t7\n")
    kinds = [kind_of(fd, proc=tmp_path) for fd in (1, 22, 3, 4, 5, 6)]
    assert kinds == ["ext4", "nfs4", "fuse.sshfs", "overlay", None, None]
    assert [is_remote(kind) for kind in kinds] == [False, True, True, False, False, False]
    assert [is_local(kind) for kind in kinds] == [True, False, False, True, False, False]


def test_no_symbolic_link_is_followed_below_a_root(tmp_path: Path, file: Path) -> None:
    """Neither as the file nor as a folder on the way; a link that is the root itself may be."""
    (tmp_path / "link").symlink_to(file)
    (tmp_path / "folder").symlink_to(file.parent)
    for path in ("link", "folder/file", "../x", "a//file", "/etc/passwd", "a"):
        with pytest.raises(NotRegularError):
            open_regular(str(tmp_path), path)
    os.close(open_regular(str(tmp_path / "folder"), "file"))


def test_a_pipe_is_not_opened(tmp_path: Path) -> None:
    """A writer that waits for a reader goes on waiting."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: os.close(os.open(pipe, os.O_WRONLY)))
    writer.start()
    try:
        for _ in range(200):
            with pytest.raises(NotRegularError, match="a named pipe"):
                open_regular(str(tmp_path), "pipe")
            assert writer.is_alive()
            time.sleep(0.001)  # the writer may still be on its way to the pipe
    finally:
        os.close(os.open(pipe, os.O_RDONLY | os.O_NONBLOCK))  # a reader at last
        writer.join(10)


def test_a_kept_folder_is_the_one_of_its_root(tmp_path: Path) -> None:
    """Two roots may have a folder of one name, and neither's file is taken for the other's."""
    for name in ("one", "two"):
        (tmp_path / name / "below").mkdir(parents=True)
        (tmp_path / name / "below" / "file").write_text(name)
    with KeptFolder() as kept:
        for name in ("one", "two", "two", "one"):
            fd = open_regular(str(tmp_path / name), "below/file", kept)
            assert os.pread(fd, 9, 0).decode() == name
            os.close(fd)


def test_what_is_put_in_the_place_of_a_kept_folder_is_found(tmp_path: Path) -> None:
    """A file that is not in it any more may be in the folder of its name; nothing stays open at the end."""
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - numbers
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "first").touch()
    with KeptFolder() as kept:
        os.close(open_regular(str(tmp_path), "below/first", kept))
        (tmp_path / "below").rename(tmp_path / "aside")
        (tmp_path / "below").mkdir()
        (tmp_path / "below" / "second").touch()
        os.close(open_regular(str(tmp_path), "below/second", kept))
        with pytest.raises(FileNotFoundError):
            open_regular(str(tmp_path), "below/first", kept)
        (tmp_path / "link").symlink_to(tmp_path / "below")
        with pytest.raises(NotRegularError):
            open_regular(str(tmp_path), "link/second", kept)
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208 - the same


def test_folders_on_the_way_are_opened_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of folders that lie in one another, each costs one open; nothing stays open at the end."""
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - numbers
    folders = ["a", "a/b", "a/b/one", "a/b/one/in", "a/b/two", "a/b/two/in", "a/c", "d"]
    for folder in folders:
        (tmp_path / folder).mkdir()
    opened, real = list[str](), os.open

    def noted(path: str, *how: int, dir_fd: int | None = None) -> int:
        opened.append(path)
        return real(path, *how, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", noted)
    with KeptFolders() as kept:
        for folder in folders:
            fd = open_folder(str(tmp_path), folder, kept)
            assert os.fstat(fd).st_ino == (tmp_path / folder).stat().st_ino
            os.close(fd)
        assert len(os.listdir("/proc/self/fd")) <= before + 4  # noqa: PTH208 - the same
    on_the_way = [str(tmp_path), "a", "b", "one", "two"]
    assert len(opened) == len(folders) + len(on_the_way) + 2  # of what lies in the root, the root each time
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208 - the same


def test_what_is_put_in_the_place_of_folders_on_the_way_is_found(tmp_path: Path) -> None:
    """A folder that is not in them any more may be in those of their names; no link is followed."""
    (tmp_path / "a" / "b" / "first").mkdir(parents=True)
    with KeptFolders() as kept:
        os.close(open_folder(str(tmp_path), "a/b/first", kept))
        (tmp_path / "a").rename(tmp_path / "aside")
        (tmp_path / "a" / "b" / "second").mkdir(parents=True)
        os.close(open_folder(str(tmp_path), "a/b/second", kept))
        for gone in ("a/b/first", "a/no/thing"):
            with pytest.raises(FileNotFoundError):
                open_folder(str(tmp_path), gone, kept)
        (tmp_path / "link").symlink_to(tmp_path / "a")
        for linked in ("link/b", "a/../link", "a/./b"):
            with pytest.raises(NotRegularError):
                open_folder(str(tmp_path), linked, kept)


def test_very_deep_folders_do_not_use_descriptors_up(tmp_path: Path) -> None:
    """Of the way to them nothing is kept open."""
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - numbers
    deep = tmp_path.joinpath(*"abcdefghijklmnopqrstuvwxyz")
    deep.mkdir(parents=True)
    with KeptFolders() as kept:
        os.close(open_folder(str(tmp_path), "/".join("abcdefghijklmnopqrstuvwxyz"), kept))
        assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208 - the same


def test_a_path_that_is_not_there_is_not_found(tmp_path: Path, file: Path) -> None:
    """Also where a file stands in place of a folder."""
    for path in ("nothing", "no/thing", "a/file/x"):
        with pytest.raises(FileNotFoundError):
            open_regular(str(tmp_path), path)
    assert file.exists()


def test_the_checksum_is_crc64nvme_of_the_range(file: Path) -> None:
    """The check value of the algorithm for 123456789 is AE8B14860A799888."""
    fd = os.open(file, os.O_RDONLY)
    try:
        assert checksum_of(fd, 0, 9) == "crc64nvme:rosUhgp5mIg="
        assert checksum_of(fd, 3, 0) == "crc64nvme:AAAAAAAAAAA="
    finally:
        os.close(fd)


def _append(file: Path) -> None:
    with file.open("ab") as handle:
        handle.write(b"0")


def test_a_fingerprint_is_of_one_state(tmp_path: Path, file: Path) -> None:
    """Whatever happened since the look voids the read."""
    expected = stat_identity(fd := os.open(file, os.O_RDONLY))
    os.close(fd)
    root = str(tmp_path)
    assert fingerprint.take(root, "a/file", expected=expected) == Fingerprint(
        identity=expected, checksum="crc64nvme:rosUhgp5mIg="
    )
    with file.open("ab"):
        assert fingerprint.take(root, "a/file", expected=expected) == Changed()
    file.write_bytes(b"987654321")
    assert fingerprint.take(root, "a/file", expected=expected) == Changed()
    file.unlink()
    assert fingerprint.take(root, "a/file", expected=expected) == Vanished()


def test_a_file_that_goes_in_parts_tells_the_checksum_of_each(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is read once for all of them. One that goes whole has none, nor has one that S3 would not take."""
    monkeypatch.setattr(parts, "PART_BYTES_MIN", 4)
    with file.open("rb") as handle:
        expected = stat_identity(handle.fileno())

        def checksum(offset_bytes: int, length_bytes: int) -> str:
            return checksum_of(handle.fileno(), offset_bytes, length_bytes)

        each = (checksum(0, 4), checksum(4, 4), checksum(8, 1))
        found = [
            fingerprint.take(str(tmp_path), "a/file", expected=expected, part_bytes=part_bytes)
            for part_bytes in (4, 9, 10, None)
        ]
        monkeypatch.setattr(fingerprint, "OBJECT_BYTES_MAX", 8)
        found.append(fingerprint.take(str(tmp_path), "a/file", expected=expected, part_bytes=4))
        whole = checksum(0, 9)
    of_it = partial(Fingerprint, identity=expected, checksum=whole)
    assert found == [
        of_it(parts=PartChecksums(part_bytes=4, checksums=each)),
        of_it(parts=PartChecksums(part_bytes=9, checksums=(whole,))),
        *(of_it() for _ in range(3)),
    ]


@pytest.mark.parametrize("change", [_append, Path.unlink], ids=["written to", "deleted"])
def test_what_happens_during_the_read_voids_it(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], None]
) -> None:
    """By a writer that has come and gone again, so that no lease tells of it."""
    with file.open("rb") as handle:
        expected = stat_identity(handle.fileno())

    def read_and_change(fd: int, offset_bytes: int, length_bytes: int) -> str:
        found = checksum_of(fd, offset_bytes, length_bytes)
        change(file)
        return found

    monkeypatch.setattr(fingerprint, "checksum_of", read_and_change)
    assert fingerprint.take(str(tmp_path), "a/file", expected=expected) == Changed()


def test_a_root_has_one_watcher(tmp_path: Path) -> None:
    """The second one gets nothing until the first lets go; also on a read-only folder."""
    tmp_path.chmod(0o555)
    first = try_flock(str(tmp_path))
    assert first is not None
    assert try_flock(str(tmp_path)) is None
    assert first.flocked
    os.close(first.fd)
    second = try_flock(str(tmp_path))
    assert second is not None
    fcntl.flock(second.fd, fcntl.LOCK_UN)
    os.close(second.fd)
    assert device_and_inode(str(tmp_path)) == (tmp_path.stat().st_dev, tmp_path.stat().st_ino)
    assert device_and_inode(str(tmp_path / "missing")) is None

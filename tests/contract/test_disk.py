"""What the simulation's disk answers is what a real one answers: the same calls on both, any order."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from sidecar import files
from sidecar.watch.complete import fingerprint
from sidecar.watch.deletion import unlink
from sidecar.watch.os.write_lease import WriterCheck, take_read_lease
from tests.support.simulation.disk import ROOT, Disk
from tests.support.simulation.machine import Machine

NAMES = ("a", "b", "s/a", "s/b", ".sidecar-probe-T")


class OnDisk:
    """The calls that production code makes, below a real folder."""

    def __init__(self, root: str) -> None:
        self.root, self.os = root, cast("Any", os)

    def write(self, path: str, content: bytes, *, in_place: bool) -> None:
        """Write as the script's renderer does."""
        target = Path(self.root, path)
        target.parent.mkdir(exist_ok=True)
        if in_place:
            target.write_bytes(content)
        else:
            target.with_name(".tmp").write_bytes(content)
            target.with_name(".tmp").replace(target)

    def delete(self, path: str) -> None:
        """Delete as the script does."""
        Path(self.root, path).unlink(missing_ok=True)


class Simulated(OnDisk):
    """The same calls, in a simulation."""

    def __init__(self) -> None:
        super().__init__(ROOT)
        self.machine = Machine()
        self.os = self.machine.os
        self.disk: Disk = self.machine.disk

    def write(self, path: str, content: bytes, *, in_place: bool) -> None:
        """Write."""
        self.disk.write(f"{ROOT}/{path}", content, in_place=in_place)

    def delete(self, path: str) -> None:
        """Delete."""
        if f"{ROOT}/{path}" in self.disk.names:
            self.disk.unlink(f"{ROOT}/{path}")


@contextmanager
def both() -> Iterator[list[OnDisk]]:
    """Prepare an empty root on each."""
    with TemporaryDirectory() as folder:
        yield [OnDisk(folder), Simulated()]


def on(place: OnDisk, call: Callable[[], Any]) -> Any:
    """Make a call on the right machine; return its answer, or the kind of its failure."""
    try:
        if isinstance(place, Simulated):
            with place.machine.runs():
                return call()
        return call()
    except OSError as error:
        return type(error)


def look(place: OnDisk, path: str) -> object:
    """Open, read and close; what differs between machines is left out."""

    def look() -> object:
        fd = files.open_regular(place.root, path)
        try:
            found = files.stat_identity(fd)
            return (
                found.size_bytes,
                files.checksum_of(fd, 0, found.size_bytes),
                take_read_lease(fd) is WriterCheck.BUSY,
            )
        finally:
            place.os.close(fd)

    return on(place, look)


def identity(place: OnDisk, path: str) -> Any:
    """Return how a file looks, None where there is none."""

    def stat() -> Any:
        fd = files.open_regular(place.root, path)
        try:
            return files.stat_identity(fd)
        finally:
            place.os.close(fd)

    found = on(place, stat)
    return None if isinstance(found, type) else found


WRITE = st.tuples(st.just("write"), st.sampled_from(NAMES), st.binary(max_size=3), st.booleans())
REMOVE = st.tuples(st.just("remove"), st.sampled_from(NAMES))
LOOK = st.tuples(st.sampled_from(["look", "take"]), st.sampled_from([*NAMES, "s", "none/a", "a/b"]))
DELETE = st.tuples(st.sampled_from(["delete", "restore"]), st.sampled_from([*NAMES, "none/a"]))


@given(steps=st.lists(st.one_of(WRITE, REMOVE, LOOK, DELETE), max_size=12))
def test_every_call_is_answered_alike(steps: list[tuple[Any, ...]]) -> None:
    """Reading, fingerprinting, deleting and undoing a deletion; also of what changed since it was seen."""
    with both() as places:
        for step in steps:
            answers = [_do(place, step) for place in places]
            assert answers[0] == answers[1], step


def _do(place: OnDisk, step: tuple[Any, ...]) -> object:
    match step:
        case "write", path, content, in_place:
            return on(place, lambda: place.write(path, content, in_place=in_place))
        case "remove", path:
            return on(place, lambda: place.delete(path))
        case "look", path:
            return look(place, path)
        case "take", path:
            expected = identity(place, path)
            return on(place, lambda: type(fingerprint.take(place.root, path, expected=expected)))
        case "delete", path:
            expected = identity(place, path)
            return on(place, lambda: unlink.delete(place.root, path, expected=expected, transfer_id="T"))
        case "restore", path:
            return on(place, lambda: unlink.restore(place.root, path, transfer_id="T"))
        case _:
            raise AssertionError(step)


@given(steps=st.lists(st.sampled_from(["write", "rewrite", "link", "unlink"]), max_size=6))
def test_what_changes_a_file_changes_how_it_looks(steps: list[str]) -> None:
    """Inode and ctime follow new contents and new names; a real clock may be too coarse to tell."""
    with both() as places:
        seen = []
        for place in places:
            place.write("a", b"1", in_place=False)
            looks = [identity(place, "a")]
            for step in steps:
                on(place, partial(_change, place, step))
                looks.append(identity(place, "a"))
            seen.append([(new.inode == old.inode, new == old) for old, new in pairwise(looks)])
        for (real_inode, real), (inode, simulated) in zip(*seen, strict=True):
            assert real_inode == inode
            assert real or not simulated


def _change(place: OnDisk, step: str) -> None:
    if step in {"write", "rewrite"}:
        place.write("a", b"2", in_place=step == "rewrite")
        return
    folder = files.open_folder(place.root, "")
    try:
        if step == "link":
            place.os.link("a", "b", src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
        else:
            place.os.unlink("b", dir_fd=folder)
    finally:
        place.os.close(folder)


def test_an_open_writer_is_seen(tmp_path: Path) -> None:
    """The lease is refused on both."""
    simulated = Simulated()
    simulated.write("a", b"1", in_place=False)
    simulated.disk.writers.add(simulated.disk.names[f"{ROOT}/a"])
    with (tmp_path / "a").open("wb") as writer:
        writer.write(b"1")
        writer.flush()
        assert look(simulated, "a") == look(OnDisk(str(tmp_path)), "a")


def test_other_calls_of_the_machine_fail_loudly() -> None:
    """What production code begins to call has to be simulated first."""
    machine = Machine()
    assert machine.os.O_RDONLY == os.O_RDONLY
    assert not hasattr(machine.os, "scandir")

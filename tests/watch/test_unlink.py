"""Deleting a local file that is safe elsewhere: that very file, that nobody writes to, or none."""

from __future__ import annotations

import os
import platform
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sidecar.core.model import StatIdentity
from sidecar.files import identity_of
from sidecar.watch.deletion.unlink import UnlinkOutcome, delete, restore
from sidecar.watch.os import write_lease
from sidecar.watch.os.filesystem import PROBE_PREFIX

PATH = "p/s/one/video/film.mp4"


@pytest.fixture(autouse=True)
def _no_sigio() -> None:
    write_lease.prepare()


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """Write a film below a root."""
    path = tmp_path / PATH
    path.parent.mkdir(parents=True)
    path.write_bytes(b"a film")
    return path


def seen(path: Path) -> StatIdentity:
    """Return what the journal would know of a file."""
    return identity_of(path.stat())


def attempt(root: Path, expected: StatIdentity) -> UnlinkOutcome:
    """Delete the film."""
    return delete(str(root), PATH, expected=expected, transfer_id="01T")


@pytest.fixture
def at_the_last_moment(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[object]]:
    """Run what a test puts here right before the file is given its other name."""
    interventions: list[object] = []
    rename = os.rename

    def intervene(one: str, other: str, **folders: int) -> None:
        while interventions:
            intervention = interventions.pop()
            assert callable(intervention)
            intervention()
        rename(one, other, **folders)

    monkeypatch.setattr(os, "rename", intervene)
    yield interventions
    assert interventions == []


def test_a_file_that_is_what_it_was_goes_and_leaves_nothing(tmp_path: Path, film: Path) -> None:
    """Neither under its name nor under another."""
    assert attempt(tmp_path, seen(film)) is UnlinkOutcome.DELETED
    assert list(film.parent.iterdir()) == []


def test_a_file_that_changed_stays(tmp_path: Path, film: Path) -> None:
    """Other bytes, or other times."""
    before = seen(film)
    film.write_bytes(b"another film")
    assert attempt(tmp_path, before) is UnlinkOutcome.KEPT
    before = seen(film)
    os.utime(film)
    assert attempt(tmp_path, before) is UnlinkOutcome.KEPT
    assert film.read_bytes() == b"another film"


def test_a_file_that_somebody_writes_to_stays(tmp_path: Path, film: Path) -> None:
    """Although it has not changed yet."""
    before = seen(film)
    with film.open("ab"):
        assert attempt(tmp_path, before) is UnlinkOutcome.KEPT
    assert film.exists()


def test_a_file_that_somebody_took_is_not_ours_to_report(tmp_path: Path, film: Path) -> None:
    """It was removed by another hand, and listings tell what that means."""
    before = seen(film)
    film.unlink()
    assert attempt(tmp_path, before) is UnlinkOutcome.GONE
    film.symlink_to("/etc/hostname")
    assert attempt(tmp_path, before) is UnlinkOutcome.GONE
    assert film.is_symlink()


def test_a_file_put_in_its_place_at_the_last_moment_stays(
    tmp_path: Path, film: Path, at_the_last_moment: list[object]
) -> None:
    """The newer one was never read: it gets its name back."""

    def replace() -> None:
        (film.parent / "new").write_bytes(b"a newer film")
        (film.parent / "new").replace(film)

    at_the_last_moment.append(replace)
    assert attempt(tmp_path, seen(film)) is UnlinkOutcome.KEPT
    assert film.read_bytes() == b"a newer film"
    assert [path.name for path in film.parent.iterdir()] == ["film.mp4"]


def test_a_writer_that_comes_at_the_last_moment_loses_nothing(
    tmp_path: Path, film: Path, at_the_last_moment: list[object]
) -> None:
    """It waits for our lease, gets the file back under its name, and what it writes is there."""

    def write() -> None:
        with film.open("r+b") as file:
            file.write(b"A FILM")

    writer = threading.Thread(target=write)

    def come() -> None:
        writer.start()
        deadline = time.monotonic() + 10
        while not _stands_at_the_door(writer):
            assert time.monotonic() < deadline

    at_the_last_moment.append(come)
    assert attempt(tmp_path, seen(film)) is UnlinkOutcome.KEPT
    writer.join(10)
    assert film.read_bytes() == b"A FILM"


def _stands_at_the_door(thread: threading.Thread) -> bool:
    """Tell whether the kernel holds the thread up in openat."""
    call = Path(f"/proc/self/task/{thread.native_id}/syscall").read_text().split()[0]
    return call == {"x86_64": "257", "aarch64": "56"}.get(platform.machine(), "running")


@pytest.mark.parametrize("newer", [False, True])
def test_what_a_crash_left_half_done_is_undone(tmp_path: Path, film: Path, *, newer: bool) -> None:
    """The file gets its name back, unless something newer has it."""
    film.rename(film.parent / f"{PROBE_PREFIX}01T")
    if newer:
        film.write_bytes(b"a newer film")
    assert restore(str(tmp_path), PATH, transfer_id="01T")
    assert film.read_bytes() == (b"a newer film" if newer else b"a film")
    assert [path.name for path in film.parent.iterdir()] == ["film.mp4"]


def test_after_a_crash_an_unlink_that_was_made_is_known_as_made(tmp_path: Path, film: Path) -> None:
    """Neither name is there, and neither may be the folder."""
    film.unlink()
    assert not restore(str(tmp_path), PATH, transfer_id="01T")
    film.parent.rmdir()
    assert not restore(str(tmp_path), PATH, transfer_id="01T")


def test_without_hard_links_a_file_still_gets_its_name_back(
    tmp_path: Path, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FAT and some FUSE have none."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    film.rename(film.parent / f"{PROBE_PREFIX}01T")
    assert restore(str(tmp_path), PATH, transfer_id="01T")
    assert film.read_bytes() == b"a film"

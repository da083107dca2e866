"""One look at a small file: what it asks the disk for, and that it reads one state of it."""

from __future__ import annotations

import fcntl
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sidecar.core.model import Fingerprint, StatIdentity
from sidecar.files import KeptFolder, identity_of
from sidecar.watch.complete.decide import Wait
from sidecar.watch.complete.fingerprint import Changed
from sidecar.watch.complete.probe import READ_ONCE_BYTES, ProbePolicy, ProbeRequest, ProbeResult, probe
from sidecar.watch.os import write_lease
from sidecar.watch.os.filesystem import Filesystems, ReadinessMethod

POLICY = ProbePolicy(settle_seconds=0.0, scanning=False, abandon_after_seconds=60.0)
CALLS = ("stat", "open", "fstat", "pread", "close", "lseek", "listdir", "scandir")
NAME = "file.txt"


@pytest.fixture(autouse=True)
def _no_sigio() -> None:
    write_lease.prepare()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Write a small file."""
    path = tmp_path / NAME
    path.write_bytes(b"123456789")
    return path


def look(
    file: Path,
    volumes: Filesystems | None = None,
    folder: KeptFolder | None = None,
    identity: StatIdentity | None = None,
) -> ProbeResult:
    """Look at a file that has no end mark; ``identity`` is how it has been for a second."""
    request = ProbeRequest(
        row_id=1,
        root=str(file.parent),
        path=file.name,
        rule_settle_seconds=None,
        check_structure=True,
        identity=identity,
        quiet_since=0.0,
    )
    return probe(request, POLICY, volumes or Filesystems(), now=1.0, folder=folder)


def while_it_is_read(monkeypatch: pytest.MonkeyPatch, do: Callable[[], None]) -> None:
    """Let something happen right behind the read of a look."""
    real = os.pread

    def pread(fd: int, length: int, offset: int) -> bytes:
        data = real(fd, length, offset)
        do()
        return data

    monkeypatch.setattr(os, "pread", pread)


def test_a_small_file_costs_eight_calls_of_the_system(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of them lets other threads in, and waits for its turn after it."""
    volumes, calls = Filesystems(), Counter[str]()

    def counted(module: Any, name: str) -> None:
        real = getattr(module, name)

        def call(*args: object, **more: object) -> object:
            calls[name] += 1
            return real(*args, **more)

        monkeypatch.setattr(module, name, call)

    with KeptFolder() as folder:
        look(file, volumes, folder)  # the folder is open by now, and its volume measured
        for name in CALLS:
            counted(os, name)
        counted(fcntl, "fcntl")
        assert isinstance(look(file, volumes, folder).found, Fingerprint)
    assert calls == {
        "stat": 1,
        "open": 1,
        "fstat": 2,
        "pread": 1,
        "fcntl": 2,
        "close": 1 + 1,
    }  # and the folder's


def test_nobody_opens_a_small_file_for_writing_while_it_is_read(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that what is read is one state of it, however coarse the clock of its file system is."""
    refused = list[type[OSError]]()

    def write() -> None:
        try:
            os.close(os.open(file, os.O_WRONLY | os.O_NONBLOCK))
        except BlockingIOError as error:
            refused.append(type(error))

    while_it_is_read(monkeypatch, write)
    assert isinstance(look(file).found, Fingerprint)
    assert refused == [BlockingIOError]
    write()
    assert len(refused) == 1  # it may again, at once


@pytest.mark.parametrize("size_bytes", [9, READ_ONCE_BYTES + 1])
def test_a_file_that_somebody_writes_is_waited_for(file: Path, size_bytes: int) -> None:
    """Large or small; and taken once it is closed."""
    file.write_bytes(bytes(size_bytes))
    with file.open("ab"):
        found = look(file).found
        assert isinstance(found, Wait)
        assert found.is_written
    assert isinstance(look(file).found, Fingerprint)


def test_a_lease_that_the_kernel_took_back_proves_nothing(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does so after 45 s: a disk hung under the read, and a writer waited."""
    real = os.pread

    def pread(fd: int, length: int, offset: int) -> bytes:
        data = real(fd, length, offset)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        writers.append(os.open(file, os.O_WRONLY))
        return data

    writers = list[int]()
    monkeypatch.setattr(os, "pread", pread)
    assert look(file).found == Changed()
    os.close(writers.pop())


def test_a_file_that_is_deleted_while_it_is_read_is_not_taken(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has no name any more, which a lease does not forbid."""
    while_it_is_read(monkeypatch, file.unlink)
    assert look(file).found == Changed()


def test_what_a_writer_did_before_the_lease_was_taken_voids_the_look(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It came behind the stat and is gone again: the file is another one than was judged."""
    real = write_lease.hold_read_lease

    def hold(fd: int) -> write_lease.WriterCheck:
        file.write_bytes(b"987654321")
        os.utime(file, ns=(0, 0))
        return real(fd)

    monkeypatch.setattr(write_lease, "hold_read_lease", hold)
    assert look(file).found == Changed()


def test_without_leases_what_is_written_while_it_is_read_voids_the_look(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then nothing keeps a writer out; the file is looked at once more behind the read."""
    monkeypatch.setattr("sidecar.watch.os.filesystem.calibrate", lambda _: ReadinessMethod.SETTLE)

    def write() -> None:
        with file.open("ab") as handle:
            handle.write(b"0")

    identity = identity_of(file.stat())
    while_it_is_read(monkeypatch, write)
    assert look(file, identity=identity).found == Changed()

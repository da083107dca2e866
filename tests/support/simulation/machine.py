"""The calls that production code makes to the machine, answered by a ``Disk``.

``Machine.runs()`` puts them where ``sidecar.files`` and its neighbours say ``os`` and ``fcntl``. Only what
those modules call is there: anything else fails loudly. tests/contract/test_disk.py holds it to the real one.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from sidecar import files, homes
from sidecar.upload import source
from sidecar.watch.complete import fingerprint
from sidecar.watch.deletion import removals, unlink
from sidecar.watch.os import write_lease

from .disk import Disk, Found

ROOT_PLACE = (1, 1)  # device, inode
Change = Callable[[str, Callable[[], None]], None]


def _at_once(_name: str, change: Callable[[], None]) -> None:
    """Make a change that nobody watches."""
    change()


class Machine:
    """Whose disk it is just now. ``change`` is told of each change before it is made, and makes it."""

    def __init__(self) -> None:
        """Begin with an empty disk."""
        self.disk = Disk()
        self.change: Change = _at_once
        self.os, self.fcntl = _Os(self), _Fcntl(self)

    @contextmanager
    def runs(self) -> Iterator[None]:
        """Be the machine that production code runs on."""
        with ExitStack() as patches:
            for module in (files, homes, source, fingerprint, unlink):
                patches.enter_context(patch.object(module, "os", self.os))
            for module in (unlink, write_lease):
                patches.enter_context(patch.object(module, "fcntl", self.fcntl))
            patches.enter_context(patch.object(removals, "device_and_inode", lambda _root: ROOT_PLACE))
            yield


@dataclass(frozen=True, slots=True, kw_only=True)
class _Volume:
    """What statvfs says that anybody asks for: the one volume has no name."""

    f_fsid: int = 0


class _Os:
    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def __getattr__(self, name: str) -> Any:
        if not name.isupper():
            raise AttributeError(f"the simulated machine has no os.{name}")
        return getattr(os, name)

    def open(self, path: str, flags: int, *, dir_fd: int | None = None) -> int:
        return self._disk.open(self._path(path, dir_fd), folder=bool(flags & os.O_DIRECTORY))

    def close(self, fd: int) -> None:
        self._disk.opened.pop(fd)

    def fstat(self, fd: int) -> Found:
        return self._disk.described(fd)

    def stat(self, path: str, *, dir_fd: int | None = None, follow_symlinks: bool = True) -> Found:  # noqa: ARG002 - it knows no links
        return self._disk.stat(self._path(path, dir_fd))

    def fstatvfs(self, fd: int) -> _Volume:
        self._disk.described(fd)
        return _Volume()

    def pread(self, fd: int, length: int, offset: int) -> bytes:
        return self._disk.content(fd)[offset : offset + length]

    def fsync(self, fd: int) -> None:
        """No power is cut here that a page cache would not survive."""
        self._disk.described(fd)

    def rename(self, source: str, target: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        disk, old, new = self._disk, self._path(source, src_dir_fd), self._path(target, dst_dir_fd)
        self._machine.change("file.rename", lambda: disk.rename(old, new))

    def link(
        self, source: str, target: str, *, src_dir_fd: int, dst_dir_fd: int, follow_symlinks: bool
    ) -> None:
        del follow_symlinks  # it knows no links
        disk, old, new = self._disk, self._path(source, src_dir_fd), self._path(target, dst_dir_fd)
        self._machine.change("file.link", lambda: disk.link(old, new))

    def unlink(self, path: str, *, dir_fd: int) -> None:
        disk, gone = self._disk, self._path(path, dir_fd)
        self._machine.change("file.unlink", lambda: disk.unlink(gone))

    @property
    def _disk(self) -> Disk:
        return self._machine.disk

    def _path(self, path: str, dir_fd: int | None) -> str:
        if dir_fd is None:
            return path
        above = self._disk.opened[dir_fd]
        assert isinstance(above, str), f"descriptor {dir_fd} is no folder"
        return f"{above}/{path}"


class _Fcntl:
    """Leases: nobody else has a file open, unless the disk says that it is being written."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def __getattr__(self, name: str) -> Any:
        return getattr(fcntl, name)

    def fcntl(self, fd: int, command: int, argument: int = 0) -> int:
        if command == fcntl.F_GETLEASE:
            return fcntl.F_RDLCK
        assert command == fcntl.F_SETLEASE, command
        if argument == fcntl.F_RDLCK and self._machine.disk.opened[fd] in self._machine.disk.writers:
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return 0

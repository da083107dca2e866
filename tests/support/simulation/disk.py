"""The machine's file system as a value: one that can be copied in the middle of a life.

``machine.py`` lets production code call it. tests/contract/test_disk.py holds both to the real one.
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass, field, replace

ROOT = "/renders"
_FOLDER_MODE, _FILE_MODE = stat.S_IFDIR | 0o755, stat.S_IFREG | 0o644


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What stat says; the names are those of ``os.stat_result``."""

    st_ino: int
    st_size: int
    st_mtime_ns: int
    st_ctime_ns: int
    st_nlink: int
    st_mode: int
    st_uid: int = 0
    st_dev: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Inode:
    """A file without its names."""

    content: bytes
    found: Found


@dataclass(slots=True, kw_only=True)
class Disk:
    """``names`` maps paths to inodes; ``time_ns`` is the newest time of a change, each gets a later one."""

    time_ns: int = 0
    names: dict[str, int] = field(default_factory=dict)
    inodes: dict[int, Inode] = field(default_factory=dict)
    folders: set[str] = field(default_factory=lambda: {ROOT})
    opened: dict[int, int | str] = field(default_factory=dict)  # descriptor -> inode or folder
    writers: set[int] = field(default_factory=set)  # inodes that somebody has open for writing

    def copy(self) -> Disk:
        """Return a disk that changes by itself, and that nobody has opened anything of."""
        return Disk(
            time_ns=self.time_ns,
            names=dict(self.names),
            inodes=dict(self.inodes),
            folders=set(self.folders),
            writers=set(self.writers),
        )

    def write(self, path: str, content: bytes, *, in_place: bool = False, at_ns: int = 0) -> None:
        """Write a file: a new one in the place of what is there, or the same one over."""
        self.time_ns = max(self.time_ns, at_ns)
        self._make_folders(path.rpartition("/")[0])
        number = self.names.get(path)
        if number is None or not in_place:
            self._unlink(path)
            number = max(self.inodes, default=100) + 1
            self.names[path] = number
        now = self._tick()
        found = Found(
            st_ino=number,
            st_size=len(content),
            st_mtime_ns=now,
            st_ctime_ns=now,
            st_nlink=1,
            st_mode=_FILE_MODE,
        )
        self.inodes[number] = Inode(content=content, found=found)

    def stat(self, path: str) -> Found:
        """Describe what is at a path. Raises FileNotFoundError."""
        if path in self.folders:
            return Found(
                st_ino=1,
                st_size=0,
                st_mtime_ns=0,
                st_ctime_ns=0,
                st_nlink=2,
                st_mode=_FOLDER_MODE,
            )
        return self.inodes[self._inode_at(path)].found

    def described(self, fd: int) -> Found:
        """Describe what is open. Raises OSError (EBADF)."""
        number = self._open_at(fd)
        return self.stat(number) if isinstance(number, str) else self.inodes[number].found

    def content(self, fd: int) -> bytes:
        """Return what an open file holds. Raises OSError."""
        number = self._open_at(fd)
        if isinstance(number, str):
            raise _error(errno.EISDIR, number)
        return self.inodes[number].content

    def open(self, path: str, *, folder: bool) -> int:
        """Open what is there; return the lowest free descriptor."""
        fd = next(n for n in range(1_000, 10_000) if n not in self.opened)
        if path in self.folders:
            self.opened[fd] = path
        elif folder:
            self._inode_at(path)
            raise _error(errno.ENOTDIR, path)
        else:
            self.opened[fd] = self._inode_at(path)
        return fd

    def link(self, source: str, target: str) -> None:
        """Give a file a second name."""
        number = self._inode_at(source)
        if target in self.names or target in self.folders:
            raise _error(errno.EEXIST, target)
        self.names[target] = number
        self._count_names(number)

    def rename(self, source: str, target: str) -> None:
        """Give a file another name, in the place of what has it."""
        number = self._inode_at(source)
        if self.names.get(target) == number:
            return
        self._unlink(target)
        self.names[target] = self.names.pop(source)
        self._count_names(number)

    def unlink(self, path: str) -> None:
        """Take a name away."""
        self._inode_at(path)
        self._unlink(path)

    def _open_at(self, fd: int) -> int | str:
        if fd not in self.opened:
            raise _error(errno.EBADF, str(fd))
        return self.opened[fd]

    def _make_folders(self, path: str) -> None:
        while path not in self.folders and path:
            self.folders.add(path)
            path = path.rpartition("/")[0]

    def _inode_at(self, path: str) -> int:
        if path not in self.names:
            raise _error(errno.ENOENT, path)
        return self.names[path]

    def _unlink(self, path: str) -> None:
        number = self.names.pop(path, None)
        if number is not None:
            self._count_names(number)

    def _count_names(self, number: int) -> None:
        """A change of a file's names changes its ctime, as everywhere."""
        inode = self.inodes[number]
        names = sum(found == number for found in self.names.values())
        found = replace(inode.found, st_nlink=names, st_ctime_ns=self._tick())
        self.inodes[number] = replace(inode, found=found)

    def _tick(self) -> int:
        self.time_ns += 1
        return self.time_ns


def _error(code: int, path: str) -> OSError:
    return OSError(code, os.strerror(code), path)

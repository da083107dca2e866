"""Reads files that generated code may swap under us: follows no symlink, reads regular files only.

The watch stage (fingerprints) and the upload stage (parts) share it. Synchronous and blocking: call it from a
thread.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import Self

from awscrt import checksums

from sidecar.core.checksums import to_text
from sidecar.core.model import StatIdentity

READ_BYTES = 120 * 1024  # glibc maps 128 KiB and more anew each time, page by page
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_ELSEWHERE = frozenset({"", ".", ".."})  # segments that lead elsewhere
_CLOSED = -1
_DEPTH_KEPT = 16  # each level is a descriptor
_KINDS = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class NotRegularError(OSError):
    """The path leads to something that is never read: a symbolic link on the way, a pipe, a device."""


class ForeignLinkError(PermissionError):
    """The file is another name of somebody else's: it is refused, however well it could be read."""


class TruncatedError(OSError):
    """The file ended before the range that was to be read."""


class KeptFolder:
    """The folder that a file was opened in, held open for the files beside it that follow at once.

    A context manager for one thread and one batch: what is put in the folder's place is seen by the next.
    """

    def __init__(self) -> None:
        """Nothing is open yet."""
        self._root, self._folder, self._fd = "", "", _CLOSED

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        if self._fd != _CLOSED:
            fd, self._fd = self._fd, _CLOSED
            os.close(fd)

    def open_with_stat(self, root: str, path: str) -> tuple[int, os.stat_result]:
        """Do what the function does."""
        above, _, name = path.rpartition("/")
        if name in _ELSEWHERE:
            raise _no_path_below(path)
        if self._fd != _CLOSED and self._folder == above and self._root == root:
            try:
                return _open_file(name, self._fd)
            except FileNotFoundError:  # another folder may have the name by now
                pass
        self.__exit__()
        self._fd, self._root, self._folder = open_folder(root, above), root, above
        return _open_file(name, self._fd)


class KeptFolders:
    """The folders on the way to one that was opened, held open for those that lie in them as well.

    As ``KeptFolder``: for one thread and one batch.
    """

    def __init__(self) -> None:
        """Nothing is open yet."""
        self._root, self._names, self._fds = "", list[str](), list[int]()

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close them."""
        self._close_from(0)

    def open_folder(self, root: str, path: str) -> int:
        """Do what the function does."""
        *above, name = path.split("/")
        if not 0 < len(above) <= _DEPTH_KEPT or not _ELSEWHERE.isdisjoint((*above, name)):
            return open_folder(root, path)
        if self._fds and self._root == root:
            try:
                return self._open_below(above, name)
            except FileNotFoundError:  # another folder may have a name on the way by now
                pass
        self._close_from(0)
        self._fds, self._root = [os.open(root, _FOLDER)], root
        return self._open_below(above, name)

    def _open_below(self, above: list[str], name: str) -> int:
        common = 0
        for kept, wanted in zip(self._names, above, strict=False):
            if kept != wanted:
                break
            common += 1
        self._close_from(common + 1)
        for segment in above[common:]:
            self._fds.append(_open_folder(segment, self._fds[-1]))
            self._names.append(segment)
        return _open_folder(name, self._fds[-1])

    def _close_from(self, level: int) -> None:
        """Close those of a level and below; the root's is 0."""
        closing, self._fds = self._fds[level:], self._fds[:level]
        self._names = self._names[: max(level - 1, 0)]
        for fd in closing:
            os.close(fd)


def open_regular(root: str, path: str, kept: KeptFolder | None = None) -> int:
    """Open ``root``/``path`` for reading, return the descriptor (the caller closes it).

    ``kept`` holds the folder of the file before it open.

    Every component below ``root`` is opened relative to its parent without following symbolic links,
    so a swap on the way cannot lead outside; ``root`` itself is the operator's word and may be one.
    The open never blocks. Raises NotRegularError for what is not a regular file, FileNotFoundError
    where nothing is, PermissionError for a hard link to somebody else's file and where the system
    refuses, and other OSError as the system gives them.
    """
    return open_with_stat(root, path, kept)[0]


def open_with_stat(root: str, path: str, kept: KeptFolder | None = None) -> tuple[int, os.stat_result]:
    """Do what ``open_regular`` does, and return the fstat that was made of the open file, too."""
    if kept is not None:
        return kept.open_with_stat(root, path)
    with KeptFolder() as folder:
        return folder.open_with_stat(root, path)


def open_folder(root: str, path: str, kept: KeptFolders | None = None) -> int:
    """Open a folder below ``root`` ("" is the root), return the descriptor (the caller closes it).

    As ``open_regular``: no symbolic link below ``root`` is followed. ``kept`` holds the folders on the way to
    the one before it open. Raises NotRegularError for a link, FileNotFoundError where no folder is, and other
    OSError as the system gives them.
    """
    if kept is not None:
        return kept.open_folder(root, path)
    folder = os.open(root, _FOLDER)
    try:
        for segment in path.split("/") if path else ():
            if segment in _ELSEWHERE:
                raise _no_path_below(path)
            inner = _open_folder(segment, folder)
            os.close(folder)
            folder = inner
    except OSError:
        os.close(folder)
        raise
    return folder


def stat_identity(fd: int) -> StatIdentity:
    """Return what fstat says of the content."""
    return identity_of(os.fstat(fd))


def identity_of(found: os.stat_result) -> StatIdentity:
    """Return the part of a stat result that changes when the content does."""
    return StatIdentity(found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def checksum_of(fd: int, offset_bytes: int, length_bytes: int) -> str:
    """Return ``crc64nvme:<base64>`` of a range, read in small pieces; the file's offset stays.

    Raises TruncatedError if the file ends before the range does.
    """
    crc, end = 0, offset_bytes + length_bytes
    while offset_bytes < end:
        piece = os.pread(fd, min(READ_BYTES, end - offset_bytes), offset_bytes)
        if not piece:
            raise TruncatedError(f"the file ends at {offset_bytes} bytes, before {end}")
        crc = checksums.crc64nvme(piece, crc)
        offset_bytes += len(piece)
    return to_text(crc)


def checksum_of_bytes(data: bytes) -> str:
    """Return ``crc64nvme:<base64>`` of bytes that were read."""
    return to_text(checksums.crc64nvme(data))


def kind_of(mode: int) -> str | None:
    """Return what a mode's file is, in words, or None for a regular file."""
    return None if stat.S_ISREG(mode) else _KINDS.get(stat.S_IFMT(mode), "not a regular file")


def _no_path_below(path: str) -> NotRegularError:
    return NotRegularError(f"not a path below a root: {path!r}")


def _open_folder(name: str, folder: int) -> int:
    try:
        return os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=folder)
    except NotADirectoryError:
        if stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            raise NotRegularError(f"a symbolic link is on the way: {name!r}") from None
        raise FileNotFoundError(f"not a folder: {name!r}") from None


def _open_file(name: str, folder: int) -> tuple[int, os.stat_result]:
    # lstat first: merely opening a pipe or a device can be an effect. fstat after: the name may be swapped.
    if not stat.S_ISREG((found := os.stat(name, dir_fd=folder, follow_symlinks=False)).st_mode):
        raise _not_regular(found, name)
    try:
        fd = os.open(name, _FILE, dir_fd=folder)
    except OSError:
        if not stat.S_ISREG((found := os.stat(name, dir_fd=folder, follow_symlinks=False)).st_mode):
            raise _not_regular(found, name) from None
        raise
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise _not_regular(found, name)
        if found.st_nlink > 1:
            _refuse_foreign_link(found, folder, name)
    except OSError:
        os.close(fd)
        raise
    return fd, found


def _not_regular(found: os.stat_result, name: str) -> NotRegularError:
    return NotRegularError(f"{kind_of(found.st_mode)}: {name!r}")


def _refuse_foreign_link(found: os.stat_result, folder: int, name: str) -> None:
    """Refuse a file with several names whose owner is not the folder's.

    Where the kernel lets users link to files that they may not read (fs.protected_hardlinks=0), code
    that may only write into a folder could have us read the file for it. Its own second names are fine.
    """
    if found.st_uid != os.fstat(folder).st_uid:
        raise ForeignLinkError(errno.EPERM, "it is a hard link to a file of another user", name)

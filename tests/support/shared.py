"""A volume that several machines share, as far as one machine has it: ``python -m tests.support.shared A B``.

Mounts the folder A at B by FUSE, without any caching, and serves until it is ended. Two such mounts of one
folder are to a process what two machines' mounts of one export are: the same files, each with locks,
leases and inotify of its own. Linux, root only. The protocol is that of linux/fuse.h, 7.31.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import struct
import sys
from collections.abc import Callable
from pathlib import Path

READ_BYTES = 1024 * 1024 + 4096
LOOKUP, FORGET, GETATTR, SETATTR, MKDIR, UNLINK, RMDIR, RENAME, LINK = 1, 2, 3, 4, 9, 10, 11, 12, 13
OPEN, READ, WRITE, STATFS, RELEASE, FSYNC, FLUSH, INIT, OPENDIR = 14, 15, 16, 17, 18, 20, 25, 26, 27
READDIR, RELEASEDIR, FSYNCDIR, ACCESS, CREATE, INTERRUPT = 28, 29, 30, 34, 35, 36
BATCH_FORGET, RENAME2 = 42, 45
UNANSWERED = {FORGET, BATCH_FORGET, INTERRUPT}
HEAD = struct.Struct("<IIQQIII4x")  # length, opcode, unique, node, uid, gid, pid
ATTR = struct.Struct("<QQQQQQIIIIIIIIII")
DIRECT_IO = 1
SET_MODE, SET_SIZE, SET_MTIME, SET_MTIME_NOW = 1, 8, 32, 256


class Passthrough:
    """Answers the kernel's requests. A node is the inode below, found by the last name it was seen under."""

    def __init__(self, below: Path, device: int) -> None:
        self._device, self._paths = device, {1: str(below)}
        self._answers: dict[int, Callable[[int, bytes], bytes]] = {
            LOOKUP: lambda node, body: self._entry(self._join(node, body)),
            GETATTR: lambda node, _: self._attributes(self._path(node)),
            SETATTR: self._change,
            MKDIR: self._make_folder,
            UNLINK: lambda node, body: _done(os.unlink, self._join(node, body)),
            RMDIR: lambda node, body: _done(os.rmdir, self._join(node, body)),
            RENAME: lambda node, body: self._rename(node, body, 8),
            RENAME2: lambda node, body: self._rename(node, body, 16),
            LINK: self._link,
            OPEN: self._open,
            OPENDIR: lambda *_: struct.pack("<QII", 0, 0, 0),
            CREATE: self._create,
            READ: self._read,
            WRITE: self._write,
            READDIR: self._list,
            RELEASE: lambda _, body: _done(os.close, struct.unpack_from("<Q", body)[0]),
            FSYNC: lambda _, body: _done(os.fsync, struct.unpack_from("<Q", body)[0]),
            STATFS: self._room,
            INIT: lambda *_: struct.pack("<IIIIHHIIHHI28x", 7, 31, 65536, 0, 0, 0, 128 * 1024, 1, 0, 0, 0),
            **dict.fromkeys((RELEASEDIR, FSYNCDIR, FLUSH, ACCESS), lambda *_: b""),
        }

    def serve(self) -> None:
        """Answer until the volume is unmounted."""
        while True:
            try:
                request = os.read(self._device, READ_BYTES)
            except OSError as error:
                if error.errno == errno.ENODEV:
                    return
                if error.errno in {errno.EINTR, errno.ENOENT}:
                    continue
                raise
            _, opcode, unique, node, *_ = HEAD.unpack_from(request)
            if opcode not in UNANSWERED:
                self._answer(unique, opcode, node, request[HEAD.size :])

    def _answer(self, unique: int, opcode: int, node: int, body: bytes) -> None:
        failure, answer = 0, b""
        try:
            answer = self._answers[opcode](node, body) if opcode in self._answers else _refuse()
        except OSError as error:
            failure = -(error.errno or errno.EIO)
        try:
            os.write(self._device, struct.pack("<IiQ", 16 + len(answer), failure, unique) + answer)
        except FileNotFoundError:
            return  # whoever asked was interrupted

    # -- nodes ---------------------------------------------------------------------------------------

    def _path(self, node: int) -> str:
        """Return the path of a node; a name that another file has by now is as good as none."""
        path = self._paths[node]
        if node != 1 and os.lstat(path).st_ino != node:
            raise OSError(errno.ESTALE, "another file has its name")
        return path

    def _join(self, node: int, name: bytes) -> str:
        return os.path.join(self._path(node), os.fsdecode(name.rstrip(b"\0")))  # noqa: PTH118 - text

    def _entry(self, path: str) -> bytes:
        found = os.lstat(path)
        self._paths[found.st_ino] = path
        return struct.pack("<QQQQII", found.st_ino, 0, 0, 0, 0, 0) + _attr(found)

    def _attributes(self, path: str) -> bytes:
        return struct.pack("<QII", 0, 0, 0) + _attr(os.lstat(path))

    # -- requests ------------------------------------------------------------------------------------

    def _change(self, node: int, body: bytes) -> bytes:
        path = self._path(node)
        valid, _, _, size, _, atime, mtime, _, atime_ns, mtime_ns, _, mode = struct.unpack_from(
            "<IIQQQQQQIIII", body[:80].ljust(80, b"\0")
        )
        if valid & SET_MODE:
            os.chmod(path, stat.S_IMODE(mode))  # noqa: PTH101 - text
        if valid & SET_SIZE:
            os.truncate(path, size)
        if valid & SET_MTIME_NOW:
            os.utime(path)
        elif valid & SET_MTIME:
            os.utime(path, ns=(atime * 10**9 + atime_ns, mtime * 10**9 + mtime_ns))
        return self._attributes(path)

    def _make_folder(self, node: int, body: bytes) -> bytes:
        mode, _ = struct.unpack_from("<II", body)
        path = self._join(node, body[8:])
        os.mkdir(path, mode)  # noqa: PTH102 - text
        return self._entry(path)

    def _rename(self, node: int, body: bytes, head: int) -> bytes:
        (new_node,) = struct.unpack_from("<Q", body)
        old, new = body[head:].split(b"\0")[:2]
        source, target = self._join(node, old), self._join(new_node, new)
        os.rename(source, target)  # noqa: PTH104 - text
        self._paths[os.lstat(target).st_ino] = target
        return b""

    def _link(self, node: int, body: bytes) -> bytes:
        (old,) = struct.unpack_from("<Q", body)
        target = self._join(node, body[8:])
        os.link(self._path(old), target)
        return self._entry(target)

    def _open(self, node: int, body: bytes) -> bytes:
        (flags,) = struct.unpack_from("<I", body)
        fd = os.open(self._path(node), flags & ~os.O_NOFOLLOW)
        return struct.pack("<QII", fd, DIRECT_IO, 0)

    def _create(self, node: int, body: bytes) -> bytes:
        flags, mode, _, _ = struct.unpack_from("<IIII", body)
        path = self._join(node, body[16:])
        fd = os.open(path, flags | os.O_CREAT, mode)
        return self._entry(path) + struct.pack("<QII", fd, DIRECT_IO, 0)

    def _read(self, _: int, body: bytes) -> bytes:
        fd, offset, size = struct.unpack_from("<QQI", body)
        return os.pread(fd, size, offset)

    def _write(self, _: int, body: bytes) -> bytes:
        fd, offset, size = struct.unpack_from("<QQI", body)
        return struct.pack("<II", os.pwrite(fd, body[40 : 40 + size], offset), 0)

    def _list(self, node: int, body: bytes) -> bytes:
        _, offset, size = struct.unpack_from("<QQI", body)
        answer = b""
        names = sorted(os.listdir(os.fsencode(self._path(node))))  # noqa: PTH208 - text
        for place, name in enumerate(names[offset:], offset + 1):
            entry = struct.pack("<QQII", place, place, len(name), 0) + name
            entry += b"\0" * (-len(entry) % 8)
            if len(answer) + len(entry) > size:
                break
            answer += entry
        return answer

    def _room(self, node: int, _: bytes) -> bytes:
        found = os.statvfs(self._path(node))
        counts = (found.f_blocks, found.f_bfree, found.f_bavail, found.f_files, found.f_ffree)
        return struct.pack("<QQQQQIII4x24x", *counts, found.f_bsize, 255, found.f_frsize)


def _attr(found: os.stat_result) -> bytes:
    times = [divmod(ns, 10**9) for ns in (found.st_atime_ns, found.st_mtime_ns, found.st_ctime_ns)]
    sizes = (found.st_ino, found.st_size, found.st_blocks)
    owner = (found.st_mode, found.st_nlink, found.st_uid, found.st_gid)
    seconds, rests = zip(*times, strict=True)
    return ATTR.pack(*sizes, *seconds, *rests, *owner, 0, found.st_blksize, 0)


def _done(call: Callable[..., object], *args: object) -> bytes:
    call(*args)
    return b""


def _refuse() -> bytes:
    raise OSError(errno.ENOSYS, "not built")


def mount(below: Path, point: Path) -> int:
    """Mount and return the descriptor to serve. Raises OSError where that is not allowed."""
    device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions"
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(str(below).encode(), str(point).encode(), b"fuse.shared", 0, options.encode()) != 0:
        raise OSError(ctypes.get_errno(), "the volume cannot be mounted")
    return device


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    Passthrough(folder, mount(folder, Path(sys.argv[2]))).serve()

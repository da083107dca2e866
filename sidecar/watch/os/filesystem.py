"""Measures what a volume can tell: whether leases are exact on it, and whether its changes reach inotify."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

from sidecar.core.mounts import kind_of_mount
from sidecar.files import open_folder

from . import write_lease

OWN_PREFIX = ".sidecar-"  # names that begin so are ours: never listed, never sent
PROBE_PREFIX = f"{OWN_PREFIX}probe-"
LEASE_NAME = f"{OWN_PREFIX}lease"
REMOTE_TYPES = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "ceph", "glusterfs", "lustre", "afs", "virtiofs", "fuse"}
)
# One kernel sees all that happens on these, and every flock. An overlay's files are written through one
# mount alone: two over one folder are undefined.
LOCAL_TYPES = frozenset(
    {"ext2", "ext3", "ext4", "xfs", "btrfs", "tmpfs", "ramfs", "zfs", "f2fs", "bcachefs", "jfs", "nilfs2"}
    | {"reiserfs", "vfat", "exfat", "msdos", "ntfs", "ntfs3", "fuseblk", "hfsplus", "udf", "iso9660"}
    | {"squashfs", "erofs", "overlay"}
)
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class ReadinessMethod(StrEnum):
    """How a finished file is told from a growing one on a volume."""

    LEASE = "lease"
    SETTLE = "settle"


class Filesystems:
    """Readiness per device, measured once with a file of our own. Blocking: use it from a thread."""

    def __init__(self) -> None:
        self._known: dict[int, ReadinessMethod] = {}

    def readiness(self, root: str, folder: str, device: int) -> ReadinessMethod:
        """Return the readiness of the volume ``device``, on which a file in ``root``/``folder`` lies."""
        known = self._known.get(device)
        return self._visit(root, folder, device) if known is None else known

    def measure(self, folder: int) -> ReadinessMethod:
        """Measure the volume of an open folder anew: the root was mounted or made again."""
        device = os.fstat(folder).st_dev
        self._known[device] = calibrate(folder)
        return self._known[device]

    def _visit(self, root: str, folder: str, device: int) -> ReadinessMethod:
        try:
            fd = open_folder(root, folder)
        except OSError:  # gone, or swapped for a link, since the file was opened
            return ReadinessMethod.SETTLE
        try:
            self._known[device] = self.measure(fd)  # of a file that is a mount, what its folder can do
        finally:
            os.close(fd)
        return self._known[device]


def calibrate(folder: int) -> ReadinessMethod:
    """See whether a file of ours in an open folder reads busy while it is written and free once closed.

    It has no name where the volume can do that: a kill leaves nothing in the renderer's folder. A folder
    that cannot be written to cannot be measured: settle. So does what others write from afar.
    """
    if is_remote(kind_of(folder)):
        return ReadinessMethod.SETTLE
    try:
        writer = os.open(".", os.O_WRONLY | os.O_TMPFILE | os.O_CLOEXEC, 0o600, dir_fd=folder)
    except OSError:
        return _calibrate_by_name(folder)
    return _measure(writer, lambda: os.open(f"/proc/self/fd/{writer}", os.O_RDONLY | os.O_CLOEXEC))


def _calibrate_by_name(folder: int) -> ReadinessMethod:
    name = f"{PROBE_PREFIX}{secrets.token_hex(6)}"
    try:
        writer = os.open(name, _NEW, 0o600, dir_fd=folder)
    except OSError:
        return ReadinessMethod.SETTLE
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return _measure(writer, lambda: os.open(name, flags, dir_fd=folder))
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=folder)


def _measure(writer: int, open_again: Callable[[], int]) -> ReadinessMethod:
    """Close the writer, and compare what a reader's lease says before and after."""
    with contextlib.suppress(OSError), contextlib.ExitStack() as files:
        with os.fdopen(writer, "wb"):
            reader = files.enter_context(os.fdopen(open_again(), "rb")).fileno()
            busy = write_lease.take_read_lease(reader)
        if (
            busy is write_lease.WriterCheck.BUSY
            and write_lease.take_read_lease(reader) is write_lease.WriterCheck.FREE
        ):
            return ReadinessMethod.LEASE
    return ReadinessMethod.SETTLE


def kind_of(fd: int, *, proc: Path = Path("/proc/self")) -> str | None:
    """Return the type of the file system that an open file lies on, or None where that cannot be told."""
    try:
        info = (proc / "fdinfo" / str(fd)).read_text()
        mounts = (proc / "mountinfo").read_text(errors="surrogateescape")
        return kind_of_mount(int(info.partition("mnt_id:")[2].split()[0]), mounts)
    except (OSError, LookupError, ValueError):
        return None


def is_remote(kind: str | None) -> bool:
    """Tell whether writes may happen where this machine's inotify does not see them."""
    return kind is not None and (kind in REMOTE_TYPES or kind.startswith("fuse."))


def is_local(kind: str | None) -> bool:
    """Tell whether a flock keeps out everybody: of a volume that is not known, nobody can say so."""
    return kind in LOCAL_TYPES

"""What a volume can tell: whether leases are exact on it, and whether its changes reach inotify."""

from __future__ import annotations

import contextlib
import os
import secrets
from enum import StrEnum
from pathlib import Path

from sidecar.core.mounts import kind_at
from sidecar.files import open_folder

from . import lease

OWN_PREFIX = ".sidecar-"  # names that begin so are ours: never listed, never sent
PROBE_PREFIX = f"{OWN_PREFIX}probe-"
REMOTE_TYPES = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "ceph", "glusterfs", "lustre", "afs", "virtiofs", "fuse"}
)
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Readiness(StrEnum):
    """How a finished file is told from a growing one on a volume."""

    LEASE = "lease"
    SETTLE = "settle"


class Volumes:
    """Readiness per device, measured once with a file of our own. Blocking: use it from a thread."""

    def __init__(self) -> None:
        self._known: dict[int, Readiness] = {}

    def readiness(self, root: str, folder: str, device: int) -> Readiness:
        """Return the readiness of the volume ``device``, on which a file in ``root``/``folder`` lies."""
        known = self._known.get(device)
        return self._visit(root, folder, device) if known is None else known

    def measure(self, folder: int) -> Readiness:
        """Measure the volume of an open folder anew: the root was mounted or made again."""
        device = os.fstat(folder).st_dev
        self._known[device] = calibrate(folder)
        return self._known[device]

    def _visit(self, root: str, folder: str, device: int) -> Readiness:
        try:
            fd = open_folder(root, folder)
        except OSError:  # gone, or swapped for a link, since the file was opened
            return Readiness.SETTLE
        try:
            self._known[device] = self.measure(fd)  # of a file that is a mount, what its folder can do
        finally:
            os.close(fd)
        return self._known[device]


def calibrate(folder: int) -> Readiness:
    """Make a dot file in an open folder, see whether open reads busy and closed free, and remove it.

    A folder that cannot be written to cannot be measured: settle.
    """
    name = f"{PROBE_PREFIX}{secrets.token_hex(6)}"
    try:
        writer = os.open(name, _NEW, 0o600, dir_fd=folder)
    except OSError:
        return Readiness.SETTLE
    try:
        return _measure(folder, name, writer)
    except OSError:
        return Readiness.SETTLE
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=folder)


def _measure(folder: int, name: str, writer: int) -> Readiness:
    reader = -1
    try:
        reader = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
        busy = lease.probe(reader)
    finally:
        os.close(writer)
    try:
        free = lease.probe(reader)
    finally:
        os.close(reader)
    exact = busy is lease.Lease.BUSY and free is lease.Lease.FREE
    return Readiness.LEASE if exact else Readiness.SETTLE


def file_system_type(path: str, *, mountinfo: Path = Path("/proc/self/mountinfo")) -> str | None:
    """Return the type of the file system at ``path``, or None where that cannot be told."""
    try:
        return kind_at(os.path.realpath(path), mountinfo.read_text(errors="surrogateescape"))
    except OSError:
        return None


def is_remote(kind: str | None) -> bool:
    """Tell whether writes may happen where this machine's inotify does not see them."""
    return kind is not None and (kind in REMOTE_TYPES or kind.startswith("fuse."))

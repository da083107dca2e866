"""What a volume can tell: whether leases are exact on it, and whether its changes reach inotify."""

from __future__ import annotations

import os
import secrets
from enum import StrEnum
from pathlib import Path

from sidecar.core.mounts import kind_at

from . import lease

OWN_PREFIX = ".sidecar-probe-"
REMOTE_TYPES = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "ceph", "glusterfs", "lustre", "afs", "virtiofs", "fuse"}
)


class Readiness(StrEnum):
    """How a finished file is told from a growing one on a volume."""

    LEASE = "lease"
    SETTLE = "settle"


class Volumes:
    """Readiness per device, measured once with a file of our own. Blocking: use it from a thread."""

    def __init__(self) -> None:
        self._known: dict[int, Readiness] = {}

    def readiness(self, folder: str, device: int) -> Readiness:
        """Return the readiness of the volume that ``folder`` and a file on ``device`` lie on."""
        known = self._known.get(device)
        return self.measure(folder, device) if known is None else known

    def measure(self, folder: str, device: int) -> Readiness:
        """Measure anew: the root was mounted or made again."""
        self._known[device] = calibrate(folder)
        return self._known[device]


def calibrate(folder: str) -> Readiness:
    """Make a dot file, see whether open reads busy and closed reads free, and remove it.

    A folder that cannot be written to cannot be measured: settle.
    """
    path = Path(folder) / f"{OWN_PREFIX}{secrets.token_hex(6)}"
    try:
        writer = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError:
        return Readiness.SETTLE
    try:
        return _measure(path, writer)
    except OSError:
        return Readiness.SETTLE
    finally:
        path.unlink(missing_ok=True)


def _measure(path: Path, writer: int) -> Readiness:
    reader = -1
    try:
        reader = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
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

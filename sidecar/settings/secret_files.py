"""Finds files of secrets that anybody on the machine may read.

On a disk that can be written that is a mistake, and refused. On a read-only or memory mount it is
how Kubernetes and Docker hand secrets over: who could read them there is the pod's to decide.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from sidecar.core.mounts import kind_at

from .model import Settings
from .problems import Key, dotted
from .secret import Secret

OTHERS = stat.S_IROTH | stat.S_IWOTH
MEMORY = frozenset({"tmpfs", "ramfs"})
MOUNTS = Path("/proc/self/mountinfo")


def secret_files(settings: Settings) -> Iterator[tuple[Key, Path]]:
    """Yield the key and the path of every secret that is a file."""
    auth = settings.convex.auth
    named: dict[Key, Secret | None] = {
        ("s3", "access_key_id_file"): settings.s3.access_key_id,
        ("s3", "secret_access_key_file"): settings.s3.secret_access_key,
        ("s3", "session_token_file"): settings.s3.session_token,
        ("convex", "auth", "private_key_file"): getattr(auth, "private_key", None),
        ("convex", "auth", "deploy_key_file"): getattr(auth, "deploy_key", None),
        ("convex", "auth", "token_file"): getattr(auth, "token", None),
        ("status", "token_file"): settings.status.token,
        ("urls", "redis_password_file"): settings.urls.redis_password,
        ("urls", "cloudfront_private_key_file"): settings.urls.cloudfront_private_key,
    }
    for key, secret in named.items():
        if isinstance(secret, Secret) and secret.path:
            yield key, secret.path


def refused(settings: Settings) -> Iterator[tuple[Key, str]]:
    """Yield the files that lie open on a disk that can be written."""
    for key, path, mode in _open_files(settings):
        if not _is_handed_over(path):
            yield key, f"{path} is open to every user of this machine (mode {mode:04o}); chmod 600 {path}"


def noted(settings: Settings) -> Iterator[str]:
    """Yield a warning for every file that lies open where it may, and for each that cannot be read now."""
    for key, path, mode in _open_files(settings):
        if _is_handed_over(path):
            yield f"{dotted(key)}: {path} is open to every user of this container (mode {mode:04o})"
    for key, path in secret_files(settings):
        if not os.access(path, os.R_OK):
            yield f"{dotted(key)}: {path} cannot be read now; it is read again whenever it is needed"


def _open_files(settings: Settings) -> Iterator[tuple[Key, Path, int]]:
    for key, path in secret_files(settings):
        try:
            found = path.stat()
        except OSError:  # it may appear later; that is another sentence
            continue
        if stat.S_ISREG(found.st_mode) and found.st_mode & OTHERS:
            yield key, path, stat.S_IMODE(found.st_mode)


def _is_handed_over(path: Path) -> bool:
    """Tell whether a file lies on a read-only or memory mount."""
    try:
        if os.statvfs(path).f_flag & os.ST_RDONLY:
            return True
        mounts = MOUNTS.read_text(errors="surrogateescape")
    except OSError:
        return False
    return kind_at(os.path.realpath(path), mounts) in MEMORY

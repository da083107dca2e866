"""Says what this machine's own failures mean: which concern the whole process, and what helps. Pure."""

from __future__ import annotations

import errno
from collections.abc import Iterator

# Nothing more can be opened by anybody here: it says nothing of the file or the remote that was asked for.
_EXHAUSTED = {
    errno.EMFILE: "raise LimitNOFILE of the service, or `ulimit -n`",
    errno.ENFILE: "raise fs.file-max of this machine",
    errno.ENOMEM: "this machine has no memory left",
    errno.ENOBUFS: "this machine has no memory left for connections",
}
_RIGHTS = "let the sidecar's user enter the folder and read its files"
_DISK = "look at the disk, and at what the kernel says of it (`dmesg`)"
_SHARE = "look at the share's server and at its mount"
_HINTS = {
    **_EXHAUSTED,
    **dict.fromkeys((errno.EACCES, errno.EPERM), _RIGHTS),
    **dict.fromkeys((errno.EIO, errno.EUCLEAN, errno.ENXIO, errno.ENODEV), _DISK),
    **dict.fromkeys(
        (errno.ENOTCONN, errno.ETIMEDOUT, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ECONNABORTED), _SHARE
    ),
    errno.ESTALE: "mount the share again",
    errno.EKEYEXPIRED: "renew the ticket or key of the share",
    errno.ENOKEY: "unlock the folder, or renew the key of the share",
    errno.ELOOP: "symbolic links go round in a circle: set the link right",
    errno.ENOENT: "mount its volume, or make the folder again; what waits goes on then",
    errno.ENOTDIR: "put the folder back in its place; what waits goes on then",
}
_LAYERS_MAX = 12  # of libraries between us and the system


def hint(error: OSError) -> str | None:
    """Return what an operator can do about it."""
    return _HINTS.get(error.errno or 0)


def exhausted(error: BaseException) -> OSError | None:
    """Return why this process can open nothing more, if that is what an error comes from.

    Client libraries wrap the system's word several times, each in another way.
    """
    for inner in _layers(error, _LAYERS_MAX):
        if isinstance(inner, OSError) and inner.errno in _EXHAUSTED:
            return inner
    return None


def is_exhausted(code: int | None) -> bool:
    """Tell whether an errno is the whole process's trouble."""
    return code in _EXHAUSTED


def _layers(error: BaseException, left: int) -> Iterator[BaseException]:
    yield error
    if left == 0:
        return
    inner = [error.__cause__, error.__context__, getattr(error, "os_error", None)]
    inner += (
        [vars(error).get("kwargs", {}).get("error")] if isinstance(vars(error).get("kwargs"), dict) else []
    )
    inner += error.exceptions if isinstance(error, BaseExceptionGroup) else []
    for one in inner:
        if isinstance(one, BaseException):
            yield from _layers(one, left - 1)

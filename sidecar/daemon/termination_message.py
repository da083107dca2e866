"""Writes the termination message, which Kubernetes shows of a container that ended."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path

import structlog

from sidecar.core.text import printable

TERMINATION_LOG = Path("/dev/termination-log")
BYTES_MAX = 4096  # what the kubelet reads
log = structlog.get_logger()


def write_termination_message(summary: str, paths: Iterable[str], *, at: Path | None = None) -> None:
    """Write what is owed, as many names as fit. The file is never made: without one nobody reads it."""
    message = _message(summary, [printable(path) for path in paths])
    try:
        fd = os.open(at or TERMINATION_LOG, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:  # not in a container that asks for last words, or they are not ours to leave
        return
    try:
        if stat.S_ISREG(os.fstat(fd).st_mode):
            os.ftruncate(fd, 0)
            os.write(fd, message)
    except OSError as error:
        log.debug("last_words_not_written", error=str(error))
    finally:
        os.close(fd)


def _message(summary: str, names: list[str]) -> bytes:
    lines, left = [summary], BYTES_MAX - len(summary.encode()) - 64
    for number, name in enumerate(names):
        left -= len(name.encode()) + 1
        if left < 0:
            lines.append(f"... and {len(names) - number} more")
            break
        lines.append(name)
    return "\n".join(lines).encode(errors="backslashreplace")[:BYTES_MAX]

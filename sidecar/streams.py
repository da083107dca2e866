"""Standard streams as the world gives them: closed, full, without a reader, on a full disk, non-blocking.

Standard library alone and light: every command begins here. Printing never fails in the middle of a
command; ``finish`` says at the end what could not be printed.
"""

from __future__ import annotations

import errno
import io
import math
import os
import select
import sys
import time
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

PIPE_BYTES = 4096  # Linux's PIPE_BUF: a pipe takes so much whole or not at all, whoever else writes into it
BUSY_SECONDS = 0.02
FAILED = 1
# Whoever read is gone: a closed pipe, a terminal that hung up. That is no news for anybody.
NOBODY_READS = frozenset({errno.EPIPE, errno.EIO, errno.ECONNRESET})


class OutputStream(io.RawIOBase):
    """A standard stream that never raises: what cannot be written is dropped, and ``error`` says why."""

    def __init__(self, fd: int, *, timeout_seconds: float = math.inf) -> None:
        """Wait ``timeout_seconds`` at most for a reader that does not read, at the first print."""
        self._fd, self._timeout_seconds = fd, timeout_seconds
        self.error: OSError | None = None

    def writable(self) -> bool:
        """Tell that it is written to."""
        return True

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._fd

    def isatty(self) -> bool:
        """Tell whether it is a terminal."""
        return os.isatty(self._fd)

    def write(self, data: ReadableBuffer) -> int:
        """Write or drop all of it; returns its length."""
        left = memoryview(data).cast("B")
        whole = len(left)
        until = time.monotonic() + self._timeout_seconds
        try:
            while left:
                timeout_seconds = until - time.monotonic()
                taken = write_some(self._fd, left, timeout_seconds=timeout_seconds)
                if not taken and timeout_seconds <= 0:
                    raise TimeoutError(errno.ETIMEDOUT, "nobody reads it")
                left = left[taken:]
        except OSError as error:
            self.error, self._timeout_seconds = error, 0.0
        return whole


def write_some(fd: int, data: ReadableBuffer, *, timeout_seconds: float) -> int:
    """Write some of it once the descriptor takes it; return how many bytes, 0 if it does not in time.

    Never blocks longer, whether the descriptor blocks or not: that belongs to whoever gave it to us and
    to all who share it. Raises OSError.
    """
    ready = select.poll()
    ready.register(fd, select.POLLOUT)
    if not ready.poll(None if timeout_seconds == math.inf else max(0.0, timeout_seconds) * 1000):
        return 0
    try:
        return os.write(fd, memoryview(data)[:PIPE_BYTES])
    except BlockingIOError:  # somebody else was faster
        time.sleep(max(0.0, min(BUSY_SECONDS, timeout_seconds)))
        return 0


def install(*, timeout_seconds: float = math.inf) -> None:
    """Let ``print`` go through streams that never raise, and let nothing else become a standard stream."""
    _occupy()
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115 - it lives as long as the process
    sys.stdout = _text(1, sys.stdout, timeout_seconds)
    sys.stderr = _text(2, sys.stderr, timeout_seconds)


def lost(stream: TextIO) -> OSError | None:
    """Return why something printed did not arrive, None if all did or where ``install`` was not called."""
    stream.flush()
    raw = getattr(getattr(stream, "buffer", None), "raw", None)
    return raw.error if isinstance(raw, OutputStream) else None


def finish(status: int) -> int:
    """Return the exit status: a command that did its work has failed if its output did not arrive.

    A reader that has gone had seen enough: nothing is said, and the status stays.
    """
    error = lost(sys.stdout)
    if error is None or error.errno in NOBODY_READS:
        return status
    print(f"sidecar: standard output cannot be written: {error.strerror}", file=sys.stderr)  # noqa: T201 - all that is left
    return status or FAILED


def _occupy() -> None:
    """Open something where descriptors 0 to 2 are closed.

    The next file or socket of ours would become one of them: a stray line would be written into the
    journal, and libuv aborts when it is to close one.
    """
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            os.set_inheritable(_nothing(os.O_RDONLY if fd == 0 else os.O_WRONLY), True)  # noqa: FBT003 - os' own signature


def _nothing(flags: int) -> int:
    """Return the lowest free descriptor, opened on nothing."""
    try:
        return os.open(os.devnull, flags)
    except OSError:  # a container without devices: any descriptor keeps the number
        return os.open("/", os.O_RDONLY)


def _text(fd: int, before: TextIO | None, timeout_seconds: float) -> TextIO:
    buffered = io.BufferedWriter(OutputStream(fd, timeout_seconds=timeout_seconds))
    return io.TextIOWrapper(
        buffered,
        encoding=before.encoding if before else "utf-8",
        errors="backslashreplace",
        line_buffering=fd != 1 or os.isatty(fd) or getattr(before, "write_through", False),
    )

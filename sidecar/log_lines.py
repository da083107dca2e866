"""Carries log lines to standard output, which may be full, without a reader, or on a full disk.

Nobody who logs waits for a log's reader. Lines go through a queue of 1 MiB to a thread of its own, which
polls and writes whole lines of at most ``PIPE_BUF`` at once. So a blocking pipe that says that it has room
does not block, and lines of processes that share it do not mix. The descriptor's own flags are shared with
whoever gave it to us, and are left alone.

Where too many lines wait the oldest are dropped and counted, because the newest says what is owed; a line
says so in their place. Whoever logs into a crowded queue gives the interpreter's lock away once, so that a
flood with a good reader loses nothing. The end of the process waits 2.5 s for a bad one. A log that cannot
be written degrades nothing: ``/status`` shows it beside.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Self

from .streams import PIPE_BYTES, write_some

BYTES_MAX = 1024 * 1024  # that wait
CROWDED_BYTES = 64 * 1024  # from here on whoever logs gives the writer a turn
GATHER_SECONDS = 0.005  # waking for each line of many costs more than writing it
RETRY_SECONDS = 1.0
CLOSE_SECONDS, LAST_SECONDS = 2.0, 0.5  # for all that waits; then for the newest line alone


class LineWriter:
    """Writes lines to a descriptor. Leaving its context waits for them, but not for long."""

    def __init__(self, fd: int, *, bytes_max: int = BYTES_MAX) -> None:
        """``notice`` makes the line that tells how many were dropped."""
        self.notice: Callable[[int], str] = "{} log lines were dropped".format
        self.dropped = 0  # since the beginning
        self._fd, self._bytes_max = fd, bytes_max
        self._lines: deque[bytes] = deque()
        self._bytes = self._unreported = 0
        self._changed = threading.Condition()
        self._closing, self._is_writing = threading.Event(), False
        self._error: str | None = None
        self._moved = time.monotonic()  # when something was last written, or begun
        self._thread = threading.Thread(target=self._work, name="log", daemon=True)

    def __enter__(self) -> Self:
        """Start the thread."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Wait until all is written; what takes too long is dropped, the newest line last."""
        self._closing.set()
        with self._changed:
            self._changed.notify_all()
            if not self._changed.wait_for(self._is_idle, CLOSE_SECONDS):
                self._shed(0)
                self._changed.wait_for(self._is_idle, LAST_SECONDS)

    @property
    def trouble(self) -> str | None:
        """Why lines cannot be written now, None if they can."""
        if self._error is None and self._is_writing and time.monotonic() - self._moved > RETRY_SECONDS:
            return "nobody reads it"
        return self._error

    def put(self, line: str) -> None:
        """Take one line, without its end."""
        self.put_all((line,))

    def put_all(self, lines: Iterable[str]) -> None:
        """Take lines, in their order and without their ends."""
        encoded = [line.encode(errors="backslashreplace") + b"\n" for line in lines]
        with self._changed:
            is_first = not self._lines
            self._lines += encoded
            self._bytes += sum(map(len, encoded))
            self._shed(self._bytes_max)
            is_crowded = self._bytes > CROWDED_BYTES
            if is_first or is_crowded:  # the thread is awake, or gathers, otherwise
                self._changed.notify_all()
        if is_crowded:
            time.sleep(0)  # the interpreter's lock, not the reader, may be what the writer waits for

    def _shed(self, bytes_max: int) -> None:
        """Drop the oldest but never the newest."""
        while self._bytes > bytes_max and len(self._lines) > 1:
            self._bytes -= len(self._lines.popleft())
            self.dropped += 1
            self._unreported += 1

    def _is_idle(self) -> bool:
        return not self._lines and not self._is_writing

    # -- the thread --------------------------------------------------------------------------------

    def _work(self) -> None:
        while batch := self._next():
            self._write(batch)

    def _next(self) -> bytes:
        """Return whole lines that a pipe takes at once, or one that is longer; nothing at the end."""
        with self._changed:
            self._is_writing = False
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._lines or self._closing.is_set())
            self._changed.wait_for(self._is_hurried, GATHER_SECONDS)
            batch = self._take_batch()
            while self._lines and (not batch or len(batch) + len(self._lines[0]) <= PIPE_BYTES):
                line = self._lines.popleft()
                self._bytes -= len(line)
                batch += line
            self._is_writing, self._moved = bool(batch), time.monotonic()
            return batch

    def _is_hurried(self) -> bool:
        return self._bytes >= PIPE_BYTES or self._closing.is_set()  # one write takes no more

    def _take_batch(self) -> bytes:
        """Return the line that stands for those that were dropped, if any were."""
        count, self._unreported = self._unreported, 0
        return self.notice(count).encode() + b"\n" if count else b""

    def _write(self, batch: bytes) -> None:
        left = memoryview(batch)
        while left:
            try:
                taken = write_some(self._fd, left, timeout_seconds=RETRY_SECONDS)
            except OSError as error:
                self._error = error.strerror or str(error)
                if self._closing.wait(RETRY_SECONDS):
                    self._give_up()
                    return
                continue
            left = left[taken:]
            if taken:
                self._error, self._moved = None, time.monotonic()

    def _give_up(self) -> None:
        """Drop what is left: it is the end, and nothing can be written."""
        with self._changed:
            self.dropped += 1 + len(self._lines)
            self._lines.clear()
            self._bytes = self._unreported = 0

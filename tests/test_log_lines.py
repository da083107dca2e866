"""Log lines and who reads them."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import threading
import time
from collections.abc import Callable

import pytest

from sidecar import log_lines
from sidecar.log_lines import LineWriter
from sidecar.streams import write_some

PATIENCE_SECONDS = 30.0


class Pipe:
    """One that holds two pages."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        fcntl.fcntl(self.writer, fcntl.F_SETPIPE_SZ, 8192)

    def read_all(self) -> list[str]:
        """Close our writing end, and return all lines to the end."""
        os.close(self.writer)
        with os.fdopen(self.reader, encoding="utf-8") as file:
            return file.read().splitlines()


@pytest.fixture
def pipe() -> Pipe:
    """The test itself closes it."""
    return Pipe()


@pytest.fixture
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every wait be short."""
    for name in ("RETRY_SECONDS", "CLOSE_SECONDS", "LAST_SECONDS"):
        monkeypatch.setattr(log_lines, name, 0.05)


def until(condition: Callable[[], object]) -> None:
    """Poll."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def read_in_background(pipe: Pipe) -> tuple[threading.Thread, list[str]]:
    """Collect lines until the writers are closed."""
    lines: list[str] = []

    def read() -> None:
        with os.fdopen(pipe.reader, encoding="utf-8") as file:
            lines.extend(line.rstrip("\n") for line in file)

    thread = threading.Thread(target=read)
    thread.start()
    return thread, lines


def test_lines_of_many_threads_arrive_whole_and_each_thread_s_in_its_order(pipe: Pipe) -> None:
    """Long ones, too; a reader that reads loses none."""
    thread, lines = read_in_background(pipe)
    with LineWriter(pipe.writer) as writer:

        def log(name: int) -> None:
            for number in range(2000):
                writer.put(f"{name} {number} {'x' * (9000 if number % 500 == 0 else 50)}.")

        loggers = [threading.Thread(target=log, args=(name,)) for name in range(4)]
        for logger in loggers:
            logger.start()
        for logger in loggers:
            logger.join()
    os.close(pipe.writer)
    thread.join()
    assert writer.dropped == 0
    assert all(line.endswith("x.") for line in lines)
    for name in range(4):
        own = [int(line.split()[1]) for line in lines if line.startswith(f"{name} ")]
        assert own == list(range(2000))


def test_two_processes_that_share_a_pipe_do_not_mix_their_lines(pipe: Pipe) -> None:
    """What a pipe takes at once is whole lines."""
    thread, lines = read_in_background(pipe)
    with LineWriter(pipe.writer) as one, LineWriter(pipe.writer) as other:
        for number in range(3000):
            one.put(f"a{number}" + "a" * (number % 200))
            other.put(f"b{number}" + "b" * (number % 200))
    os.close(pipe.writer)
    thread.join()
    assert len(lines) == 6000
    assert all(not set(line) - set(f"{line[0]}0123456789") for line in lines)


@pytest.mark.usefixtures("_hurried")
def test_who_logs_never_waits_and_what_is_dropped_is_counted_and_told_in_its_place(pipe: Pipe) -> None:
    """Nobody reads; then somebody does: the oldest that still wait follow the line that tells."""
    with LineWriter(pipe.writer, bytes_max=10_000) as writer:
        for number in range(5000):
            writer.put(f"line {number}")
        until(lambda: writer.trouble == "nobody reads it")
        thread, lines = read_in_background(pipe)
        until(lambda: writer.trouble is None)
    os.close(pipe.writer)
    thread.join()
    expected, dropped = 0, 0
    for line in lines:
        if told := re.fullmatch(r"([0-9]+) log lines were dropped", line):
            expected, dropped = expected + int(told[1]), dropped + int(told[1])
        else:
            assert line == f"line {expected}"
            expected += 1
    assert (expected, dropped) == (5000, writer.dropped)
    assert dropped > 2000


@pytest.mark.usefixtures("_hurried")
def test_the_newest_line_is_the_last_to_be_dropped(pipe: Pipe) -> None:
    """It says what is owed: a reader that comes late, and slowly, finds it."""
    with LineWriter(pipe.writer) as writer:
        for number in range(5000):
            writer.put(f"line {number}")
    thread, lines = read_in_background(pipe)
    until(writer._is_idle)
    os.close(pipe.writer)
    thread.join()
    assert writer.dropped > 3000
    assert lines[-1] == "line 4999"
    assert "log lines were dropped" in lines[-2]


@pytest.mark.usefixtures("_hurried")
def test_a_reader_that_is_gone_is_named_and_ends_nothing(pipe: Pipe) -> None:
    """Nor does the end wait for it."""
    os.close(pipe.reader)
    with LineWriter(pipe.writer) as writer:
        writer.put("x")
        until(lambda: writer.trouble == os.strerror(errno.EPIPE))
        writer.put("y")
    os.close(pipe.writer)
    assert writer._is_idle()
    assert writer.dropped == 2


@pytest.mark.usefixtures("_hurried")
def test_a_disk_that_was_full_in_the_middle_of_a_line_gets_the_rest_of_it(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No line is torn by it, none comes twice."""
    calls = iter(range(100))

    def failing(fd: int, data: memoryview, *, timeout_seconds: float) -> int:
        call = next(calls)
        if 0 < call < 4:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write_some(fd, data[:3] if call == 0 else data, timeout_seconds=timeout_seconds)

    monkeypatch.setattr(log_lines, "write_some", failing)
    with LineWriter(pipe.writer) as writer:
        writer.put("abcdef")
        until(lambda: writer.trouble == os.strerror(errno.ENOSPC))
        until(writer._is_idle)
        writer.put("ghi")
        until(writer._is_idle)
        assert writer.trouble is None
    assert pipe.read_all() == ["abcdef", "ghi"]

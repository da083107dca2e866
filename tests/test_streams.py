"""Printing where nobody reads, where a disk is full, and where there is nothing to print to."""

from __future__ import annotations

import errno
import itertools
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sidecar.streams import PIPE_BYTES, OutputStream, write_some

MUCH = b"x" * 1_000_000  # more than any pipe holds
PRINTING = """
import sys
from sidecar import streams
streams.install()
print({text!r})
sys.exit(streams.finish({status}))
"""
OPENING = """
import os
from sidecar import streams
streams.install()
raise SystemExit(os.open("/", os.O_RDONLY) < 3 or not all(os.get_inheritable(fd) for fd in range(3)))
"""


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """The two ends of one."""
    ends = os.pipe()
    yield ends
    for fd in ends:
        try:
            os.close(fd)
        except OSError:
            continue  # the test closed it


def run(script: str, redirections: str = "") -> subprocess.CompletedProcess[str]:
    """Run Python as a shell would that redirects."""
    command = ["bash", "-c", f'exec "$@" {redirections}', "bash", sys.executable, "-c", script]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_a_reader_that_does_not_read_holds_nobody_up(pipe: tuple[int, int]) -> None:
    """After the first wait there is no other."""
    stream = OutputStream(pipe[1], timeout_seconds=0.05)
    assert stream.write(MUCH) == len(MUCH)
    assert stream.error is not None
    assert stream.error.errno == errno.ETIMEDOUT
    assert stream.write(b"more") == 4


def test_a_pipe_that_does_not_block_is_waited_for(pipe: tuple[int, int]) -> None:
    """As one from a Node parent: everything arrives, and the flag that others see stays as it was."""
    reader, writer = pipe
    os.set_blocking(writer, False)
    got = bytearray()

    def read() -> None:
        while len(got) < len(MUCH):
            got.extend(os.read(reader, 65536))

    thread = threading.Thread(target=read)
    thread.start()
    stream = OutputStream(writer)
    stream.write(MUCH)
    thread.join(30)
    assert (bytes(got), stream.error, os.get_blocking(writer)) == (MUCH, None, False)


def test_no_more_than_a_pipe_takes_whole_is_written_at_once(pipe: tuple[int, int]) -> None:
    """So a blocking pipe that says that it has room does not block, and our lines do not mix with others'."""
    assert write_some(pipe[1], MUCH, timeout_seconds=1) == PIPE_BYTES


@pytest.mark.parametrize("closed", [c for n in range(4) for c in itertools.combinations((0, 1, 2), n)])
def test_no_file_becomes_a_standard_stream(closed: tuple[int, ...]) -> None:
    """Whichever were closed; and children get all three."""
    redirections = " ".join(("<&-", ">&-", "2>&-")[fd] for fd in closed)
    assert run(OPENING, redirections).returncode == 0


@pytest.mark.parametrize(
    ("redirection", "status", "ended"),
    [("", 0, 0), (">/dev/full", 0, 1), (">/dev/full", 75, 75), (">&-", 0, 0), ("> >(exec true)", 75, 75)],
)
def test_a_command_fails_if_its_output_is_lost_but_not_if_nobody_wants_it(
    redirection: str, status: int, ended: int
) -> None:
    """One sentence at most, never a traceback, never Python's own 120."""
    ran = run(PRINTING.format(text="x" * 100_000, status=status), redirection)
    assert ran.returncode == ended
    said = "sidecar: standard output cannot be written: No space left on device\n"
    assert ran.stderr == (said if "full" in redirection else "")


def test_nothing_at_all_can_be_said_and_the_status_is_right() -> None:
    """Standard error is lost as well."""
    assert run(PRINTING.format(text="x", status=78), ">/dev/full 2>/dev/full").returncode == 78


def test_a_file_keeps_what_was_printed(tmp_path: Path) -> None:
    """The everyday case."""
    path = tmp_path / "out"
    assert run(PRINTING.format(text="héllo", status=0), f">{path}").returncode == 0
    assert path.read_text(encoding="utf-8") == "héllo\n"

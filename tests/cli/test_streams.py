"""Commands whose reader is gone, whose disk is full, or that have nothing to print to."""

from __future__ import annotations

import asyncio
import os
import sys

import pytest

from sidecar.core.model import State
from tests.status.conftest import Served
from tests.status.fake import transfer
from tests.support.patience import DEADLINE_SECONDS

from .conftest import Ran, run

VIDEO = "p/s/intro/video/1.mp4"
FULL = "sidecar: standard output cannot be written: No space left on device\n"


async def redirected(redirection: str, *arguments: str) -> Ran:
    """Run a command as a shell does that redirects."""
    command = ["bash", "-c", f'exec "$@" {redirection}', "bash", sys.executable, "-m", "sidecar", *arguments]
    return await run(command)


async def test_a_reader_that_has_seen_enough_ends_it_quietly(served: Served) -> None:
    """As in `sidecar status --watch | head -1`, which would go on for ever."""
    ran = await redirected("> >(exec true)", "status", "--watch", "--url", served.url)
    assert (ran.status, ran.err) == (0, "")


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"]])
async def test_output_that_is_lost_on_a_full_disk_is_a_failure(arguments: list[str]) -> None:
    """One sentence instead of half an answer."""
    ran = await redirected(">/dev/full", *arguments)
    assert (ran.status, ran.err) == (1, FULL)


async def test_a_full_disk_under_the_log_changes_no_verdict(served: Served) -> None:
    """A healthy daemon is not restarted, and what is synced is synced."""
    served.source.journal.rows = [transfer(1, VIDEO, State.SYNCED)]
    for command in (["health"], ["wait", VIDEO]):
        ran = await redirected(">/dev/full", *command, "--url", served.url)
        assert (ran.status, ran.err) == (0, FULL)


@pytest.mark.parametrize("redirection", ["<&- >&- 2>&-", "2>/dev/full"])
async def test_statuses_are_the_same_without_streams(served: Served, redirection: str) -> None:
    """Whatever is closed."""
    for arguments, status in (
        (["wait", "/etc/passwd", "--url", served.url], 1),
        (["run", "--nosuch"], 2),
        (["run", "--config", "/nowhere.yaml"], 78),
    ):
        ran = await redirected(redirection, *arguments)
        assert (ran.status, "Traceback" in ran.err) == (status, False), arguments


async def test_ctrl_c_ends_a_wait_without_a_traceback(served: Served) -> None:
    """With the status that shells expect."""
    served.source.journal.rows = [transfer(1, VIDEO, State.READY)]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sidecar", "wait", "--url", served.url),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not served.source.watch.scans:
            await asyncio.sleep(0.01)
        process.send_signal(2)
        _, err = await process.communicate()
    assert (process.returncode, err) == (130, b"")


async def test_a_pipe_that_does_not_block_gets_everything() -> None:
    """As one from Node, whose reader comes late."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sidecar", "config", "schema"), stdout=writer, stderr=asyncio.subprocess.PIPE
    )
    os.close(writer)

    def read() -> bytes:
        with os.fdopen(reader, "rb") as file:
            return file.read()

    async with asyncio.timeout(DEADLINE_SECONDS):
        out = await asyncio.to_thread(read)
        _, err = await process.communicate()
    assert (process.returncode, err) == (0, b"")
    assert out.rstrip().endswith(b"}")

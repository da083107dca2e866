"""Our own disk keeps files from us: they wait, are named, cost nothing, and go on soon after."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey
from botocore.exceptions import EndpointConnectionError

from sidecar.core.breaker import BreakerState
from sidecar.core.clock import SystemClock
from sidecar.core.errors import ErrorKind
from sidecar.core.model import State, Transfer
from sidecar.core.upload_order import CROWD
from sidecar.files import KeptFolder, checksum_of, open_with_stat
from sidecar.homes import AWAY
from sidecar.obstacles import Obstacles
from sidecar.sync.errors import of_transport
from sidecar.upload import source
from sidecar.upload.s3.errors import translate
from sidecar.upload.s3.refusals import Asker
from tests.support.memory_store import MemoryStore

from .rig import HASTY, Rig, content, eventually, rig_on, running

PAUSES = [
    errno.EACCES,
    errno.EPERM,
    errno.EIO,
    errno.ESTALE,
    errno.ENOTCONN,
    errno.ETIMEDOUT,
    errno.EHOSTDOWN,
]
EXHAUSTED = [errno.EMFILE, errno.ENFILE, errno.ENOMEM]


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    """Open a sidecar's upload half over a store in memory."""
    async with rig_on(MemoryStore(bucket="lessons"), tmp_path, bucket="lessons") as opened:
        yield opened


@contextmanager
def failing(monkeypatch: pytest.MonkeyPatch, code: int) -> Iterator[list[str]]:
    """Have every file fail to open meanwhile; gather what was tried."""
    tries: list[str] = []

    def refuse(_root: str, path: str, _kept: object) -> int:
        tries.append(path)
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patched:
        patched.setattr(source, "open_with_stat", refuse)
        yield tries


@pytest.mark.parametrize("code", [*PAUSES, *EXHAUSTED], ids=lambda code: errno.errorcode[code])
async def test_a_file_that_cannot_be_opened_waits_at_nobodys_cost(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """More often than there are attempts; S3 is not blamed, and it is named."""
    transfer, obstacles = await rig.file(content(10)), Obstacles(SystemClock())
    stage = rig.stage(obstacles=obstacles)
    monkeypatch.setattr("sidecar.upload.unreadable_sources.PAUSE_SECONDS", (0.01, 0.02))
    async with running(stage):
        with failing(monkeypatch, code) as tries:
            await eventually(lambda: _are(lambda: len(tries) > 5))
            waiting, [reason] = await rig.now(transfer), obstacles.reasons()
        assert (waiting.state, waiting.failures) == (State.READY, 0)
        assert os.strerror(code) in reason
        assert (transfer.display in reason) is (code not in EXHAUSTED)
        assert (stage._gate.state, stage._gate.reason, stage._gate.last_error) == (
            BreakerState.CLOSED,
            None,
            None,
        )
        await rig.until(transfer, State.UPLOADED)
    assert [event for _, event, _ in _history(rig, transfer)].count("waits") == 1


async def _are(condition: Callable[[], bool]) -> bool:
    return condition()


def _history(rig: Rig, transfer: Transfer) -> list[tuple[int, str, str]]:
    rows = rig.journal.db.execute(
        "SELECT at_ms, event, detail FROM events WHERE transfer = ? ORDER BY id", [transfer.row_id]
    )
    return [tuple(row) for row in rows.fetchall()]


async def test_many_files_of_a_root_that_is_away_cost_bounded_work(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One finds out, the others come back at a rate; once one can be read all follow."""
    transfers = [await rig.file(content(10), f"c{n}.mp4") for n in range(200)]
    monkeypatch.setattr("sidecar.upload.unreadable_sources.TRIES_PER_SECOND", 5.0)
    obstacles, tries = Obstacles(SystemClock()), list[str]()

    def counted(root: str, path: str, kept: KeptFolder | None) -> tuple[int, os.stat_result]:
        tries.append(path)
        return open_with_stat(root, path, kept)

    monkeypatch.setattr(source, "open_with_stat", counted)
    rig.root.rename(rig.folder / "elsewhere")
    async with running(rig.stage(concurrency=10, obstacles=obstacles)):
        await rig.until_it_waits(transfers[-1])
        before = len(tries)
        await asyncio.sleep(1.0)  # the rate is what is looked at: 5 a second
        assert before + len(tries) < 2 * 10 * CROWD + 20, "those that were claimed at once, and few more"
        assert len(obstacles.reasons()) == 1
        assert AWAY in obstacles.reasons()[0]
        (rig.folder / "elsewhere").rename(rig.root)
        for transfer in transfers:
            await rig.until(transfer, State.UPLOADED)
        assert obstacles.reasons() == []


@pytest.mark.parametrize(
    "what", ["folder", "link", "pipe", "folder above is a file", "folder above is a link"]
)
async def test_a_path_that_became_something_else_is_gone(rig: Rig, what: str) -> None:
    """No requeue could cure it: the file is not there any more."""
    transfer = await rig.file(content(10))
    path, aside = rig.path(transfer), rig.folder / "aside"
    if what.startswith("folder above"):
        path.parent.rename(aside)
        path.parent.symlink_to(aside) if what.endswith("link") else path.parent.write_bytes(b"")
    else:
        path.unlink()
        make: dict[str, Callable[[], object]] = {
            "folder": path.mkdir,
            "link": lambda: path.symlink_to("/etc/hostname"),
            "pipe": lambda: os.mkfifo(path),
        }
        make[what]()
    async with running(rig.stage()):
        await rig.until(transfer, State.GONE)


@pytest.mark.parametrize("how", ["emptied", "another"])
async def test_a_root_that_is_another_one_says_nothing_of_its_files(rig: Rig, how: str) -> None:
    """The folder below a volume that is not mounted is there, and empty."""
    transfer, obstacles = await rig.file(content(10)), Obstacles(SystemClock())
    rig.root.rename(rig.folder / "volume")
    rig.root.mkdir()
    if how == "another":
        rig.path(transfer).parent.mkdir(parents=True)
    async with running(rig.stage(obstacles=obstacles)):
        await rig.until_it_waits(transfer)
        assert str(rig.root) in obstacles.reasons()[0]
        shutil.rmtree(rig.root)
        (rig.folder / "volume").rename(rig.root)
        await rig.until(transfer, State.UPLOADED)


async def test_a_closed_folder_is_named_itself(rig: Rig) -> None:
    """Not each of its files."""
    if os.geteuid() == 0:
        pytest.skip("root may enter every folder")
    transfers = [await rig.file(content(10), f"c{n}.mp4") for n in range(3)]
    closed, obstacles = rig.path(transfers[0]).parent, Obstacles(SystemClock())
    closed.chmod(0)
    try:
        async with running(rig.stage(obstacles=obstacles)):
            await rig.until_it_waits(transfers[-1])
            [reason] = obstacles.reasons()
            assert reason.startswith(f"{closed} cannot be read since")
            closed.chmod(0o755)
            await rig.until(transfers[-1], State.UPLOADED)
    finally:
        closed.chmod(0o755)


async def test_a_read_that_fails_in_the_middle_waits(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever of the body had gone: nothing is spent, or it would be dead, and it is sent again."""
    transfer = await rig.file(content(10))
    os.utime(transfer.display)  # so that it is read once more
    real, failures = checksum_of, [OSError(errno.EIO, "Input/output error")] * 4 * HASTY.attempts

    def fail(fd: int, offset_bytes: int, length_bytes: int) -> str:
        if failures:
            raise failures.pop()
        return real(fd, offset_bytes, length_bytes)

    monkeypatch.setattr(source, "checksum_of", fail)
    monkeypatch.setattr("sidecar.upload.unreadable_sources.PAUSE_SECONDS", (0.01, 0.02))
    async with running(rig.stage()):
        await rig.until(transfer, State.UPLOADED)
    assert not failures


@pytest.mark.parametrize("code", EXHAUSTED, ids=lambda code: errno.errorcode[code])
def test_a_socket_that_cannot_be_had_is_ours_and_not_the_networks(code: int) -> None:
    """However a client library wraps it; nothing can have been carried out."""
    own = OSError(code, os.strerror(code))
    connector = aiohttp.ClientConnectorError(ConnectionKey("s3", 80, False, False, None, None, None), own)  # noqa: FBT003 - a tuple of aiohttp's
    error = EndpointConnectionError(endpoint_url="http://s3", error=connector)
    found = translate(error, operation="PutObject", target="k", asker=Asker())
    assert (found.kind, found.message, found.maybe_done) == (ErrorKind.LOCAL_IO, os.strerror(code), False)


def test_the_network_stays_the_networks() -> None:
    """A refused connection is nobody's lack of descriptors."""
    own = ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
    error = EndpointConnectionError(endpoint_url="http://s3", error=own)
    found = translate(error, operation="PutObject", target="k", asker=Asker())
    assert found.kind is ErrorKind.NETWORK


def test_the_same_of_convex() -> None:
    """aiohttp raises its own error from the system's."""
    own = OSError(errno.EMFILE, "Too many open files")
    error = aiohttp.ClientConnectorError(ConnectionKey("c", 80, False, False, None, None, None), own)  # noqa: FBT003 - as above
    assert of_transport(error, operation="mutation", target="t", was_sent=False).kind is ErrorKind.LOCAL_IO

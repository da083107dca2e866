"""A root on a volume where flock is not enough: what the watch stage makes of it."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
from pathlib import Path
from typing import Any

import pytest

from sidecar.core.account import FileClass
from sidecar.core.errors import FatalError
from sidecar.core.findings import Finding
from sidecar.core.lease_record import LeaseRecord, LeaseTiming
from sidecar.watch import root
from sidecar.watch.os import filesystem
from sidecar.watch.os.filesystem import LEASE_NAME
from sidecar.watch.ownership import flock, root_lock
from sidecar.watch.ownership.lease_file import BeatOutcome, LeaseFile

from .conftest import World, running

SOURCE = "p/s/one/source/scene.py"
SHORT = LeaseTiming(beat=0.05, term=0.3, claim=0.4, still=8)


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every volume one of a server."""
    monkeypatch.setattr(root, "kind_of", lambda _: "nfs4")
    monkeypatch.setattr(root_lock, "TIMING", SHORT)


@pytest.fixture
def lockless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no volume know flock."""

    class NoLocks:
        LOCK_EX, LOCK_NB = fcntl.LOCK_EX, fcntl.LOCK_NB

        @staticmethod
        def flock(_fd: int, _operation: int) -> None:
            raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(flock, "fcntl", NoLocks)
    monkeypatch.setattr(root_lock, "TIMING", SHORT)


def record(**fields: Any) -> bytes:
    """Return somebody's record."""
    nobody: dict[str, Any] = {
        "holder": "x",
        "beat": 1,
        "sidecar": "sc-x",
        "host": "node",
        "pid": 1,
        "boot": "b",
        "device": 1,
        "flocked": True,
    }
    return LeaseRecord(**{**nobody, **fields}).bytes()


async def test_a_root_of_this_machine_needs_no_file(world: World) -> None:
    """flock reaches everybody."""
    assert world.stage.status()[0].lock == "by flock"
    assert not (world.root / LEASE_NAME).exists()


@pytest.mark.usefixtures("lockless")
async def test_where_flock_fails_two_are_kept_apart_by_the_file(tmp_path: Path) -> None:
    """The second waits and says for whom, and has the root when the first ends; nothing stays behind."""
    async with running(tmp_path) as first:
        assert first.stage.status()[0].lock == root_lock.BY_LEASE
        async with running(tmp_path, state="other", until_listed=False) as second:

            async def waits() -> bool:
                return "another sidecar (watch-tests on " in (second.stage.status()[0].problem or "")

            await second.until(waits)
            first.put(SOURCE)
            await first.until_ready(SOURCE)
            assert await second.rows() == []
            assert not second.stage.ready.is_set()
            found = await second.stage.explain(str(second.root), SOURCE)
            assert found.finding is Finding.HELD
            await first.end()
            await second.until_ready(SOURCE)
            assert second.stage.ready.is_set()
    assert [path.name for path in (tmp_path / "renders").iterdir()] == ["p"]


@pytest.mark.usefixtures("shared")
async def test_the_file_is_nobodys_asset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the rules and the ignored names are: it is neither sent nor counted."""
    monkeypatch.setattr("tests.watch.conftest.IGNORE", ())
    async with running(tmp_path, rule="{project}/{session}/{scene}/**", events="inotify") as world:
        assert (world.root / LEASE_NAME).exists()
        await world.stage.scan_now()
        await world.stage.scan_now()
        status = world.stage.status()[0]
        assert (status.counts[FileClass.UNMATCHED], status.counts[FileClass.REFUSED], status.events) == (
            0,
            0,
            "inotify",
        )
        found = await world.stage.explain(str(world.root), LEASE_NAME)
        assert found.finding is Finding.IGNORED


@pytest.mark.usefixtures("shared")
async def test_what_a_killed_process_of_this_machine_left_is_taken_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It held the flock that we hold now; of another machine's the heartbeat is waited for."""
    monkeypatch.setattr(root_lock, "TIMING", LeaseTiming(beat=0.05, term=2.0, claim=60.0))
    folder = tmp_path / "renders"
    folder.mkdir()
    boot = root_lock.BOOT.read_text(encoding="ascii").strip()
    dead = record(boot=boot, device=folder.stat().st_dev)
    (folder / LEASE_NAME).write_bytes(dead)
    async with running(tmp_path) as world:
        assert world.stage.ready.is_set()
        assert (folder / LEASE_NAME).read_bytes() != dead
    (folder / LEASE_NAME).write_bytes(record(boot="elsewhere"))
    async with running(tmp_path, until_listed=False) as world:

        async def claims() -> bool:
            return "making sure" in (world.stage.status()[0].problem or "")

        await world.until(claims)
        assert not world.stage.ready.is_set()


@pytest.mark.usefixtures("shared")
async def test_a_folder_that_is_taken_ends_the_process(tmp_path: Path) -> None:
    """Fenced: it says by whom."""
    with pytest.raises(ExceptionGroup) as caught:  # noqa: PT012 - the end of the block is the stage's end
        async with running(tmp_path) as world:
            await asyncio.to_thread((world.root / LEASE_NAME).write_bytes, record(sidecar="sc-thief"))
            await world.until(world.has_ended)
    [fatal] = _leaves(caught.value)
    assert isinstance(fatal, FatalError)
    assert fatal.exit_status == 1
    assert "is not this sidecar's any more: another sidecar (sc-thief on node, process 1)" in str(fatal)


@pytest.mark.usefixtures("shared")
async def test_nothing_passes_while_the_file_cannot_be_read_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The status says why; all goes on once it can be read again."""
    async with running(tmp_path) as world:
        await asyncio.wait_for(world.fence.passable(), 1)
        with monkeypatch.context() as patch:
            patch.setattr(LeaseFile, "beat", _fail)

            async def lapsed() -> bool:
                return "nothing is shipped" in (world.stage.status()[0].trouble or "")

            await world.until(lapsed)
            assert "Input/output error" in (world.stage.status()[0].trouble or "")
            assert not world.stage.is_ours(str(world.root))
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(world.fence.passable(), 0.2)
        await asyncio.wait_for(world.fence.passable(), 5)

        async def well() -> bool:
            return world.stage.status()[0].trouble is None

        await world.until(well)


@pytest.mark.usefixtures("shared")
async def test_a_file_that_somebody_swept_away_is_there_again(tmp_path: Path) -> None:
    """A renderer that clears its folder takes nothing from us."""
    async with running(tmp_path) as world:
        (world.root / LEASE_NAME).unlink()

        async def back() -> bool:
            return (world.root / LEASE_NAME).exists()

        await world.until(back)
        await asyncio.wait_for(world.fence.passable(), 1)


@pytest.mark.usefixtures("shared")
async def test_a_file_that_was_swept_away_while_we_were_stopped_is_no_proof(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others may have come and gone, or still be there: this process ends."""
    with pytest.raises(ExceptionGroup) as caught:  # noqa: PT012 - the end of the block is the stage's end
        async with running(tmp_path) as world:
            beat = LeaseFile.beat

            def late(self: LeaseFile, before: tuple[bytes, ...], after: bytes) -> BeatOutcome:
                (world.root / LEASE_NAME).unlink()
                asyncio.run(asyncio.sleep(2 * SHORT.term))
                return beat(self, before, after)

            monkeypatch.setattr(LeaseFile, "beat", late)
            await world.until(world.has_ended)
    assert "was removed while this process stood still" in str(_leaves(caught.value)[0])


@pytest.mark.usefixtures("shared")
async def test_a_folder_that_may_not_be_written_is_watched_and_the_status_says_what_that_means(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No lease file can be there; a full disk is another matter, which may pass."""
    monkeypatch.setattr(LeaseFile, "create", _fail)
    async with running(tmp_path, until_listed=False) as world:

        async def named() -> bool:
            return "the folder cannot be had: Input/output error" in (world.stage.status()[0].problem or "")

        await world.until(named)
        assert not world.stage.ready.is_set()

        def refuse(*_: object) -> bool:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))

        monkeypatch.setattr(LeaseFile, "create", refuse)
        world.put(SOURCE)
        await world.until_ready(SOURCE)
        assert world.stage.status()[0].lock == (
            "by flock, on this machine only: no lease file can be written (Read-only file system)"
        )


@pytest.mark.usefixtures("shared")
async def test_what_others_write_from_afar_settles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel knows its own writers only: leases are not trusted on a volume of a server."""
    monkeypatch.setattr(filesystem, "kind_of", lambda _: "fuse.sshfs")
    async with running(tmp_path) as world:
        status = world.stage.status()[0]
        assert (status.readiness, status.events) == ("settle", "scan")


def _fail(*_: object) -> Any:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in _leaves(inner)]
    return [error]

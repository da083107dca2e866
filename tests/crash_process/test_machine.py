"""Errors from the machine: disks that fail, fill up and are freed; too few descriptors; too few watches.

The daemon says so in /status while it lasts, does not end, and everything arrives afterwards.
"""

from __future__ import annotations

import errno
import random
import secrets
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.support.patience import DEADLINE_SECONDS
from tests.support.shim.board import SHORT, Group, Target

from .checker import check
from .disks import small_disk
from .lab import CONVERGE_SECONDS, MIB, Case, Lab
from .scenarios import blob, text

NAMES = {errno.EIO: "EIO", errno.ENOSPC: "ENOSPC", errno.EDQUOT: "EDQUOT", errno.EROFS: "EROFS"}
PASSING = {errno.EINTR: "EINTR", SHORT: "short"}  # what a call may meet on a disk that is well
ROUNDS = 2
LIVE_SECONDS = 2 * DEADLINE_SECONDS


@pytest.fixture
def case(lab: Lab, request: pytest.FixtureRequest) -> Iterator[Case]:
    """Set up a daemon that is not started yet; its log is shown where the test fails."""
    name = "".join(c if c.isalnum() else "-" for c in request.node.name.removeprefix("test_"))[-40:].strip(
        "-"
    )
    case = Case(lab=lab, name=f"m-{name.lower()}")
    yield case
    print(case.log.read_text()[-5000:] if case.log.exists() else "(no log)")  # noqa: T201 - pytest shows it where a test fails
    case.close()


def some(case: Case, group: str, count: int = 8) -> None:
    """Write some files of one session."""
    for n in range(count):
        case.write(f"{case.name}/lesson/s{n % 3}/source/{group}{n}.py", text((group, n)))


def alive(case: Case) -> None:
    """Wait until it is ready."""
    case.until("the daemon is ready", lambda: case.ask("/readyz") is not None)


def settled(case: Case, tally: Counter[str], what: str) -> None:
    """Wait until everything has arrived, end the daemon, check, count."""
    case.until("all is quiet", case.quiet, seconds=LIVE_SECONDS)
    case.until("nothing is wrong any more", lambda: not case.reasons())
    case.end()
    check(case)
    tally[what] += case.board["failed"]


@pytest.mark.parametrize("calls", [Group.WRITE, Group.SYNC], ids=("write", "sync"))
@pytest.mark.parametrize("error", NAMES, ids=NAMES.values())
def test_a_journal_that_cannot_be_written_is_said_and_waited_out(
    case: Case, tally: Counter[str], error: int, calls: Group
) -> None:
    """Every call fails until the disk is well; nothing goes on as if it had been remembered."""
    alive(case)
    case.board.fail(error, on=Target.JOURNAL, calls=calls)
    some(case, "a")
    case.until("the status names the journal", lambda: "journal" in case.reasons())
    some(case, "b")
    assert case.ask("/healthz") is not None
    case.board.free()
    settled(case, tally, "journal errors")


@pytest.mark.parametrize("error", NAMES | PASSING, ids=(NAMES | PASSING).values())
def test_a_journal_write_that_fails_once_costs_nothing(
    case: Case, tally: Counter[str], error: int, request: pytest.FixtureRequest
) -> None:
    """Anywhere, a few times in a row: rolled back and tried again."""
    chance = random.Random(f"{request.node.name} {request.config.getoption('--seed')}")
    alive(case)
    for round_ in range(ROUNDS):
        calls = Group.WRITE if error in PASSING else Group.WRITE | Group.SYNC
        case.board.fail(
            error, on=Target.JOURNAL, calls=calls, first=chance.randint(1, 40), times=chance.randint(1, 3)
        )
        some(case, f"r{round_}-")
        case.until("all is quiet", case.quiet, seconds=LIVE_SECONDS)
        tally["journal errors"] += case.board["failed"]
    case.board.free()
    settled(case, tally, "journal errors")


@pytest.mark.parametrize("error", [errno.EIO, errno.EINTR, SHORT], ids=("EIO", "EINTR", "short"))
def test_a_source_read_that_fails_once_is_read_again(
    case: Case, tally: Counter[str], error: int, request: pytest.FixtureRequest
) -> None:
    """While it is fingerprinted and while it is sent; no byte is missed."""
    chance = random.Random(f"{request.node.name} {request.config.getoption('--seed')}")
    alive(case)
    for round_ in range(1 if error == errno.EIO else ROUNDS):  # an unreadable file is left alone for a while
        first, times = chance.randint(1, 40), chance.randint(1, 2)
        case.board.fail(error, on=Target.ROOT, calls=Group.READ, first=first, times=times)
        case.write(f"{case.name}/lesson/s1/video/c{round_}.mp4", blob(11 * MIB, round_))
        some(case, f"r{round_}-", count=3)
        case.until("all is quiet", case.quiet, seconds=LIVE_SECONDS)
        tally["source errors"] += case.board["failed"]
    case.board.free()
    settled(case, tally, "source errors")


@pytest.mark.parametrize("calls", [Group.READ, Group.OPEN], ids=("read", "open"))
def test_a_source_that_cannot_be_read_is_said_and_waited_for(
    case: Case, tally: Counter[str], calls: Group
) -> None:
    """A disk that fails under the renders: not gone, not dead, but refused, until it can be read."""
    alive(case)
    path = f"{case.name}/lesson/s1/video/c1.mp4"
    case.write(path, blob(6 * MIB, 1))
    case.until("it is synced", lambda: case.synced(path))
    case.board.fail(errno.EIO, on=Target.ROOT, calls=calls)
    case.write(f"{case.name}/lesson/s2/video/c2.mp4", blob(6 * MIB, 2))

    def said() -> bool:
        status = case.ask("/status")
        (root,) = status["watch"]
        assert not status["transfers"]["dead"]
        return bool(root["refused"]) and "Input/output error" in case.reasons()

    case.until("the status says so", said)
    case.board.free()
    case.until("it arrives", case.quiet, seconds=LIVE_SECONDS)
    settled(case, tally, "source errors")


def test_a_full_disk_is_said_and_everything_arrives_once_it_is_freed(
    lab: Lab, tally: Counter[str], tmp_path: Path
) -> None:
    """A real one: a tmpfs of 4 MiB for the journal, filled to its last byte."""
    with small_disk(tmp_path / "small", options="size=4m") as disk:
        full = Case(lab=lab, name="full-disk", journal_folder=disk)
        try:
            alive(full)
            some(full, "a")
            full.until("all is quiet", full.quiet)
            filler = disk / "filler"
            _fill(filler)
            some(full, "b", count=300)  # more than the reserve holds
            full.until("the status names it", lambda: "disk is full" in full.reasons())
            filler.unlink()
            settled(full, tally, "full disks")
            tally["full disks"] += 1
        finally:
            print(full.log.read_text()[-5000:])  # noqa: T201 - shown where the test fails
            full.close()


def _fill(filler: Path) -> None:
    """Write until the disk is full."""
    with filler.open("wb", buffering=0) as file:
        for piece in (bytes(65536), bytes(4096), bytes(1)):
            while _done(partial(file.write, piece)):
                pass


def _done(work: Callable[[], object]) -> bool:
    """Do it; False where the disk is full."""
    try:
        work()
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        return False
    return True


@pytest.mark.parametrize("killed", [True, False], ids=("killed", "stopped"))
def test_a_disk_without_inodes_stops_nothing_for_long(
    lab: Lab, tally: Counter[str], tmp_path: Path, killed: bool
) -> None:
    """A running journal needs none; a start that needs one and gets none ends with 75 and a sentence."""
    with small_disk(tmp_path / "small", options="nr_inodes=30") as disk:
        case = Case(lab=lab, name=f"no-inodes-{killed}".lower(), journal_folder=disk)
        try:
            alive(case)
            some(case, "a")
            case.until("all is quiet", case.quiet)
            fillers = [*_fill_inodes(disk)]
            some(case, "b")
            case.until("it goes on", case.quiet)
            if killed:
                case.end()
            else:
                case.drain()
                case.life, case.drained = None, False
            fillers += _fill_inodes(disk)  # what the end has freed
            if not killed:
                case.start()
                assert _status(case) == 75
                assert "Traceback" not in case.log.read_text()
            else:
                some(case, "c")
                case.until("the files that it left suffice", case.quiet)
            for filler in fillers:
                filler.unlink()
            some(case, "d")
            settled(case, tally, "full disks")
            tally["full disks"] += 1
        finally:
            print(case.log.read_text()[-5000:])  # noqa: T201 - shown where the test fails
            case.close()


def _status(case: Case) -> int:
    assert case.life
    status = case.life.wait(CONVERGE_SECONDS)
    case.life = None
    return status


def _fill_inodes(disk: Path) -> Iterator[Path]:
    """Make empty files until there is no inode left."""
    while _done((filler := disk / f"filler-{secrets.token_hex(4)}").touch):
        yield filler


@pytest.mark.parametrize("files_max", [48])
def test_too_few_descriptors_kill_nothing(lab: Lab, tally: Counter[str], files_max: int) -> None:
    """Sockets and files share the limit; whatever fails for want of one comes later."""
    case = Case(lab=lab, name=f"descriptors-{files_max}", limits={"files_max": files_max})
    try:
        alive(case)
        some(case, "a", count=80)
        case.write(f"{case.name}/lesson/s1/video/c1.mp4", blob(26 * MIB, 1))
        case.until("everything arrives", case.quiet, seconds=LIVE_SECONDS)
        case.end()
        check(case)
        tally["starved lives"] += 1
    finally:
        print(case.log.read_text()[-5000:])  # noqa: T201 - shown where the test fails
        case.close()


def _says_that_watches_ran_out(case: Case) -> None:
    status = case.ask("/status")
    [root] = status["watch"]
    assert (status["state"], root["events"]) == ("degraded", "scan")
    assert "watch limit reached" in root["trouble"]
    assert [reason for reason in status["reasons"] if root["trouble"] in reason]


def test_too_few_watches_are_said_and_listings_do_the_work(lab: Lab, tally: Counter[str]) -> None:
    """inotify's limit of a user namespace of the daemon's own, reached at run time and at the start."""
    if not Path("/proc/sys/user/max_inotify_watches").exists():
        pytest.skip("this kernel has no limit of its own for a user namespace")
    case = Case(lab=lab, name="watches", limits={"watches_max": 8}, rescan="1s")
    try:
        alive(case)
        for n in range(12):
            case.write(f"{case.name}/lesson/t{n}/source/x.py", text(n))
        case.until("everything arrives", case.quiet, seconds=LIVE_SECONDS)
        _says_that_watches_ran_out(case)
        case.end()
        some(case, "again")
        case.until("everything arrives", case.quiet, seconds=LIVE_SECONDS)
        _says_that_watches_ran_out(case)
        case.end()
        check(case)
        tally["starved lives"] += 1
    finally:
        print(case.log.read_text()[-5000:])  # noqa: T201 - shown where the test fails
        case.close()

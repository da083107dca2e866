"""The machine's wall clock is wrong, or jumps, while the daemon works."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.shim.board import SOURCE, build, compiler
from tests.support.system import System, eventually, write

DAY_SECONDS = 86_400
MONTH_SECONDS = 30 * DAY_SECONDS
SCRIPT, OTHER = "demo/lesson/s1/source/scene.py", "demo/lesson/s2/source/other.py"

SetClock = Callable[[int], None]


@pytest.fixture(scope="session")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compile what makes the clock wrong."""
    if compiler() is None:
        pytest.skip("there is no C compiler to build the shim with")
    return build(tmp_path_factory.mktemp("clock"), SOURCE.with_name("clock.c"))


@pytest.fixture
def clock(system: System, shim: Path) -> SetClock:
    """Give the daemon a clock of its own; call it with the seconds by which it is wrong."""
    wrong = system.folder / "clock"

    def set_clock(seconds: int) -> None:
        with wrong.open("r+b" if wrong.exists() else "wb") as file:  # in place: the daemon maps it
            file.write(seconds.to_bytes(8, "little", signed=True))

    set_clock(0)
    system.fresh = True  # whatever is preloaded is so at a process's beginning
    system.env |= {"LD_PRELOAD": str(shim), "SHIM_CLOCK": str(wrong)}
    return set_clock


@pytest.mark.parametrize("jump", [MONTH_SECONDS, -MONTH_SECONDS], ids=["ahead", "back"])
def test_a_jump_of_a_month_loses_nothing(system: System, clock: SetClock, jump: int) -> None:
    """S3 refuses what is signed by a wrong clock: that is named, costs no attempt, and ends with it."""
    system.start()
    files = {SCRIPT: write(system.root / SCRIPT, b"first = 1\n")}
    system.wait_settled(synced=1)
    clock(jump)
    files[OTHER] = write(system.root / OTHER, b"second = 2\n")
    reason = eventually("the clock is named", lambda: named(system))
    assert re.search(r"\b(720|43,?200)\b", reason) is not None, reason
    clock(0)
    system.wait_settled(synced=2)
    system.check(files)
    assert system.status()["transfers"]["dead"] == 0
    assert '"attempt":' not in system.log.read_text()


def test_a_wrong_clock_is_named_before_anything_is_refused(system: System, clock: SetClock) -> None:
    """Half an hour is enough; it ends with it."""
    system.start()
    system.wait_settled()
    clock(-1800)
    eventually("the clock is named", lambda: "30 min behind S3's" in named(system))
    clock(0)
    eventually("the clock is not named any more", lambda: not named(system))


def test_nothing_is_deleted_by_a_clock_that_jumped(system: System, clock: SetClock) -> None:
    """By it the file is a month old; nobody asks S3 anything meanwhile, whose answer would tell."""
    system.settings["local_files"] = {"after_sync": "delete", "delete_after": "5s"}
    system.start()
    path = system.root / SCRIPT
    write(path, b"first = 1\n")
    system.wait_settled(synced=1)
    clock(MONTH_SECONDS)
    eventually("what that means is said", lambda: "no local file is deleted" in named(system))
    rounds_over = time.monotonic() + 1.0  # several of those in which it would go
    while time.monotonic() < rounds_over:
        assert path.exists()
        time.sleep(0.02)
    clock(0)
    eventually("the clock is not named any more", lambda: not named(system))
    eventually("it goes when it is old enough", lambda: not path.exists(), seconds=40)


def named(system: System) -> str:
    """Return what /status says of the clock."""
    return " ".join(reason for reason in map(str, system.status()["reasons"]) if "clock" in reason)

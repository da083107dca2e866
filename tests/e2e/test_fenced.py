"""Two daemons that take themselves for the same sidecar: the newer journal wins, the older one ends."""

from __future__ import annotations

import copy
import shutil
import signal
from collections.abc import Iterator

import pytest

from sidecar.local.ports import free_port
from tests.support.system import System, eventually, write


@pytest.fixture
def later(system: System) -> Iterator[System]:
    """The same daemon once more: same folders, bucket and sidecar id, an endpoint of its own."""
    later = copy.copy(system)
    later.settings = copy.deepcopy(system.settings)
    later.port = free_port()
    later.settings["status"] = {"listen": f"127.0.0.1:{later.port}"}
    yield later
    if later.process and later.process.poll() is None:
        later.kill()


def test_the_daemon_of_a_lost_journal_ends_and_the_new_one_takes_over(system: System, later: System) -> None:
    """Somebody removed the journal's folder and started again, while the old process still ran."""
    scene = system.root / "demo/lesson/s1/source"
    files = {f"demo/lesson/s1/source/f{n}.py": write(scene / f"f{n}.py", b"# %d\n" % n) for n in range(3)}
    system.start()
    system.wait_settled(synced=3)
    assert system.process
    system.process.send_signal(signal.SIGSTOP)  # or it would begin a new journal before the other one does
    shutil.rmtree(system.folder / "journal")
    later.start(ready=False)
    eventually("the new one is registered", lambda: '"epoch": 2' in system.log.read_text())
    files["demo/lesson/s1/source/new.py"] = write(scene / "new.py", b"# new\n")
    system.process.send_signal(signal.SIGCONT)
    assert system.process.wait(30) in {1, 75}  # fenced by Convex, or the journal's place is taken
    eventually("the new one is ready", later._ready)
    later.wait_settled(synced=4)
    later.check(files)


def test_a_daemon_whose_journal_is_removed_begins_a_new_one(system: System) -> None:
    """While it runs: what S3 and Convex hold is found, nothing is sent twice, and it says so."""
    path = "demo/lesson/s1/source/f.py"
    files = {path: write(system.root / path, b"# first\n")}
    system.start()
    system.wait_settled(synced=1)
    keys = system.keys()
    shutil.rmtree(system.folder / "journal")
    eventually("it is said", lambda: "removed or replaced" in system.log.read_text())
    eventually("it is ready again", system._ready)
    system.wait_settled(synced=1)
    assert system.keys() == keys
    other = path.replace("f.py", "g.py")
    files[other] = write(system.root / other, b"# second\n")
    system.wait_settled(synced=2)
    system.check(files)

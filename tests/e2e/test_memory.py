"""What the daemon takes of the machine."""

from __future__ import annotations

import random
from pathlib import Path

from tests.support.system import System, eventually, write

MIB = 1024 * 1024


def resident_mib(system: System) -> float:
    """Return the daemon's resident memory."""
    assert system.process
    lines = Path(f"/proc/{system.process.pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS:")).split()[1]) / 1024


def test_memory_is_given_back_after_an_upload(system: System) -> None:
    """Idle is idle also after work: the budget is 120 MiB before the first file and after the last."""
    system.fresh = True  # what a parent has imported would count as the daemon's, or not
    system.start()
    assert resident_mib(system) < 120
    write(system.root / "demo/lesson/s1/video/c1.mp4", random.Random(1).randbytes(100 * MIB))
    for n in range(50):
        write(system.root / f"demo/lesson/s{n % 5}/source/f{n}.py", b"# %d\n" % n)
    system.wait_settled(synced=51)
    eventually("memory is given back", lambda: resident_mib(system) < 120)

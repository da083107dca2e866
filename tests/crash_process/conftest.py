"""One laboratory for all lives; what was counted is said at the end of the run."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from sidecar.local.convex_server import ConvexServer
from sidecar.local.seaweed import SeaweedServer
from tests.support.shim.board import compiler

from .lab import Lab, laboratory

MEMORY = Path("/dev/shm")  # noqa: S108 - a kill loses no page, so the disk's waits would only cost time
counted: Counter[str] = Counter()


@pytest.fixture(scope="session")
def lab(seaweed: SeaweedServer) -> Iterator[Lab]:
    """Start the parent of all lives, and a Convex of their own."""
    if compiler() is None:
        pytest.skip("there is no C compiler to build the shim with")
    folder = Path(tempfile.mkdtemp(prefix="lab-", dir=MEMORY if MEMORY.is_dir() else None))
    try:
        with ConvexServer(dev_auth=True) as convex, laboratory(folder, seaweed, convex) as made:
            yield made
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def tally() -> Counter[str]:
    """Count what was done, for the last line."""
    return counted


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was done to the daemon."""
    if counted:
        words = ", ".join(f"{number} {what}" for what, number in counted.items())
        terminalreporter.write_line(f"crash_process: {words}")

"""What the tests of hostile input share: a canary that must never be read, and attackers."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CANARY = b"canary-6f1d2c9be07a4d53 this text must never leave the machine\n" * 8


@contextmanager
def swapping(*pairs: tuple[Path, Path]) -> Iterator[None]:
    """Exchange each pair of names without pause until the block ends."""
    names = [str(name) for pair in pairs for name in pair]
    argv = [sys.executable, "-I", str(Path(__file__).with_name("swapper.py")), *names]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE)
    try:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        yield
        assert process.poll() is None, "the attacker gave up"
    finally:
        process.kill()
        process.communicate()

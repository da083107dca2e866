"""Floods: more files and folders than anybody means to make. All are taken, in bounded memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

# files in one folder, folders, MiB above the idle stage, seconds. Full: pytest tests/hostile --flood=full
SIZES = {"small": (2_000, 200, 60, 300), "full": (100_000, 10_000, 160, 900)}


def test_a_flood_is_noticed_in_bounded_memory(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """One folder of very many files, and very many folders: each file is ready in the end."""
    files, folders, mib, seconds = SIZES[request.config.getoption("--flood", default="small")]
    ended = subprocess.run(
        [sys.executable, "-m", "tests.hostile.flood", str(tmp_path), str(files), str(folders)],
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds + 120,
    )
    assert ended.returncode == 0, ended.stderr
    cost = json.loads(ended.stdout.splitlines()[-1])
    assert cost["ready"] == files + folders
    assert cost["grown_mib"] < mib, cost
    assert cost["seconds"] < seconds, cost

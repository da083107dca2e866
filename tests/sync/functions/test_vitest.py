"""The functions in an application's own tests: vitest and convex-test, as Convex shows them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

from sidecar.local.convex_modules import find_node, modules_folder
from sidecar.local.convex_server import assemble

SUITE = Path(__file__).parent / "vitest"
TESTS_MIN = 38


def test_the_vitest_suite_passes(tmp_path: Path) -> None:
    """Beside an application that has rules of its own, and with those that are installed; none is skipped."""
    node = find_node()
    assemble(tmp_path, modules_folder(node=node, with_development=True))
    (tmp_path / "convex" / "sidecarAccess.ts").rename(tmp_path / "convex" / "packagedAccess.ts")
    shutil.copytree(SUITE, tmp_path, dirs_exist_ok=True)
    # Vite's other loaders of its configuration write into node_modules, which is shared.
    flags = ["--configLoader=runner", "--reporter=default", "--reporter=json", "--outputFile=report.json"]
    command = [node.binary, "node_modules/vitest/vitest.mjs", "run", *flags]
    environment = {**os.environ, "NO_COLOR": "1"}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-8000:]
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["numPassedTests"] == report["numTotalTests"] >= TESTS_MIN

"""Writes the component's `_generated`: `python -m tests.sync.functions.codegen`."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from sidecar.local.convex_modules import Node, find_node, modules_folder
from sidecar.local.convex_server import FUNCTIONS
from tests.support.convex import COMPONENT

SCRIPT = Path(__file__).with_suffix(".mjs")


def generated(node: Node, modules: Path) -> dict[str, str]:
    """Return the files by their names."""
    command = [node.binary, str(SCRIPT), str(FUNCTIONS / COMPONENT), str(modules / "node_modules")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    files: dict[str, str] = json.loads(done.stdout)
    return files


if __name__ == "__main__":
    node = find_node()
    for name, text in generated(node, modules_folder(node=node)).items():
        (FUNCTIONS / COMPONENT / "_generated" / name).write_text(text)

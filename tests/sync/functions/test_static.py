"""The TypeScript is strict, as installed and as served by --dev-auth."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from sidecar.local.convex_modules import Node, find_node, modules_folder
from sidecar.local.convex_server import FUNCTIONS, assemble
from sidecar.sync.install import install, stamped


def run_script(node: Node, project: Path, script: str) -> None:
    """Run an npm script offline; fail with what it printed."""
    path = f"{Path(node.binary).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "npm_config_offline": "true"}
    command = [*node.npm, "run", "--silent", script]
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def node() -> Node:
    """The Node that serves."""
    return find_node()


@pytest.fixture(scope="module")
def modules(node: Node) -> Path:
    """The compiler and the linter too."""
    return modules_folder(node=node, with_development=True)


@pytest.mark.parametrize("dev_auth", [False, True], ids=["as installed", "dev auth"])
def test_the_functions_are_typed(tmp_path: Path, node: Node, modules: Path, *, dev_auth: bool) -> None:
    """Strict tsc, offline, with the two schema lines that a user adds."""
    assemble(tmp_path, modules, dev_auth=dev_auth)
    run_script(node, tmp_path, "typecheck")


def test_the_functions_are_linted(tmp_path: Path, node: Node, modules: Path) -> None:
    """Convex's own rules and typescript-eslint's strict ones, without a warning."""
    assemble(tmp_path, modules)
    run_script(node, tmp_path, "lint")


def test_installed_functions_are_the_packaged_ones(tmp_path: Path) -> None:
    """One implementation: what `install` writes differs by its first line only."""
    for path, _ in install(tmp_path):
        packaged = (FUNCTIONS / path.relative_to(tmp_path)).read_text()
        assert path.read_text() in (packaged, stamped(packaged))

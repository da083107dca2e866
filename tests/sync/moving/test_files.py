"""The sets of files of a migration are what Convex takes: strict types, no lint."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecar.local.convex_modules import PACKAGES, Node, find_node, modules_folder
from sidecar.local.convex_server import assemble
from sidecar.sync.moving.project import Home, Project
from tests.sync.functions.test_static import run_script

from .conftest import former_project


@pytest.fixture(scope="module")
def node() -> Node:
    """The Node that serves."""
    return find_node()


@pytest.fixture(scope="module")
def modules(node: Node) -> Path:
    """The compiler and the linter too."""
    return modules_folder(node=node, with_development=True)


def test_sidecars_are_held_off_by_typed_functions(tmp_path: Path, node: Node, modules: Path) -> None:
    """Beside the tables and the readers of before: what Convex's own deployment checks."""
    assemble(tmp_path, modules, functions_dir=PACKAGES / "project")
    into = former_project(tmp_path / "convex")
    Project(into=into).hold()
    run_script(node, tmp_path, "typecheck")
    run_script(node, tmp_path, "lint")


def test_the_tables_of_before_stay_with_the_component(
    tmp_path: Path, node: Node, modules: Path, request: pytest.FixtureRequest
) -> None:
    """The user's schema is not touched; nothing else of before is left. Its types by ``--crash=all``."""
    assemble(tmp_path, modules, functions_dir=PACKAGES / "project")
    into = former_project(tmp_path / "convex")
    project = Project(into=into)
    schema = (into / "schema.ts").read_text()
    project.hold()
    project.switch(Home.COMPONENT)
    assert (into / "schema.ts").read_text() == schema
    assert [path.name for path in (into / "sidecarLib").iterdir()] == ["shapes.ts"]
    if request.config.getoption("--crash") == "all":
        run_script(node, tmp_path, "typecheck")

"""The sets of files of a migration are what Convex takes: strict types, no lint."""

from __future__ import annotations

import re
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


def test_sidecars_are_held_off_by_typed_functions(
    tmp_path: Path, node: Node, modules: Path, request: pytest.FixtureRequest
) -> None:
    """Every function of before is there, beside its tables and readers. Types and lint by ``--crash=all``."""
    assemble(tmp_path, modules, functions_dir=PACKAGES / "project")
    into = former_project(tmp_path / "convex")
    before = exported(into / "sidecar.ts")
    Project(into=into).hold()
    assert exported(into / "sidecar.ts") == before
    assert len(before) > 20
    if request.config.getoption("--crash") == "all":
        (into / "_generated/api.d.ts").write_text(api_types(into))
        run_script(node, tmp_path, "typecheck")
        run_script(node, tmp_path, "lint")


def api_types(into: Path) -> str:
    """Return what Convex's codegen writes into api.d.ts before it checks types."""
    files = [path.relative_to(into).with_suffix("").as_posix() for path in sorted(into.rglob("*.ts"))]
    names = [
        name
        for name in files
        if not name.startswith(("_generated", "renderSidecar", "schema")) and "." not in name
    ]
    imports = "\n".join(f'import type * as m{i} from "../{name}.js";' for i, name in enumerate(names))
    modules = " ".join(f'"{name}": typeof m{i};' for i, name in enumerate(names))
    return f"""
import type {{ ApiFromModules, FilterApi, FunctionReference }} from "convex/server";
{imports}
declare const all: ApiFromModules<{{ {modules} }}>;
export declare const api: FilterApi<typeof all, FunctionReference<any, "public">>;
export declare const internal: FilterApi<typeof all, FunctionReference<any, "internal">>;
"""


def exported(path: Path) -> list[tuple[str, str]]:
    """Return the functions of a module with their kinds."""
    return re.findall(r"^export const (\w+) = (\w+)\(", path.read_text(), re.MULTILINE)


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

"""The sets of files of a migration are what Convex takes: strict types, no lint."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sidecar.local.convex_modules import PACKAGES, Node, find_node, modules_folder
from sidecar.local.convex_server import assemble
from sidecar.sync.install_files import is_stamped
from sidecar.sync.moving.project import BACKUP, Home, MigrationError, Project
from tests.sync.functions.test_static import run_script

from .conftest import KilledError, former_project


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
    """Every function of either side is there, beside its readers. Types and lint by ``--crash=all``."""
    assemble(tmp_path, modules, functions_dir=PACKAGES / "project")
    into = former_project(tmp_path / "convex")
    for writers in ({"sidecarLib/deletion.ts": 1}, {"application.ts": 4, "scenes.ts": 1, "sessions.ts": 1}):
        before = exported(into / "sidecar.ts")
        Project(into=into).hold()
        assert exported(into / "sidecar.ts") == before
        assert len(before) > 20
        folder = into / "sidecar" if len(writers) > 1 else into
        for name, count in writers.items():
            assert (folder / name).read_text().count("refuseWhileMoved()") == count + 1, name
        if request.config.getoption("--crash") == "all":
            (into / "_generated/api.d.ts").write_text(api_types(into))
            run_script(node, tmp_path, "typecheck")
            run_script(node, tmp_path, "lint")
        Project(into=into).switch(Home.COMPONENT)


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


def migrated(project: Path, modules: Path) -> Path:
    """Lay out a former project, with a mutation of the user's, and write the set of the component."""
    assemble(project, modules, functions_dir=PACKAGES / "project")
    into = former_project(project / "convex")
    (into / "lessons.ts").write_text(LESSONS)
    Project(into=into).hold()
    Project(into=into).switch(Home.COMPONENT)
    return into


LESSONS = """
import { internalMutation } from "./_generated/server";
import { deleteScene } from "./sidecarLib/deletion";

export const drop = internalMutation({
  args: {},
  handler: async (ctx) => { await deleteScene(ctx, "p/lesson", "intro"); },
});
"""


def test_what_the_users_files_import_stays_with_the_component(tmp_path: Path, modules: Path) -> None:
    """The schema the tables, sidecarAccess.ts the rules' types, their mutations deleteScene."""
    into = migrated(tmp_path, modules)
    kept = {path.name: path for path in (into / "sidecarLib").iterdir()}
    assert set(kept) == {"deletion.ts", "rules.ts", "shapes.ts"}
    assert not any(is_stamped(path) for path in [*kept.values(), into / "sidecarTables.ts"])


def test_the_migrated_set_is_typed_with_the_users_files_of_before(
    tmp_path: Path, node: Node, modules: Path
) -> None:
    """Strict tsc, as Convex has it before it deploys: a set that it refuses leaves sidecars held off."""
    into = migrated(tmp_path, modules)
    assert 'Doc<"videoSessions">' in (into / "sidecarAccess.ts").read_text()
    (into / "_generated/api.d.ts").write_text(api_types(into))
    run_script(node, tmp_path, "typecheck")


def test_a_file_that_needs_what_goes_is_named_before_anything_is_written(tmp_path: Path) -> None:
    """With what takes its place."""
    into = former_project(tmp_path / "convex")
    (into / "mine").mkdir()
    (into / "mine/begin.ts").write_text('import { newSession } from "../sidecarLib/newDocuments";\n')
    with pytest.raises(MigrationError, match=r"begin.ts imports sidecarLib/newDocuments.ts.*ensureSession"):
        Project(into=into).hold()
    assert not (into / BACKUP).exists()


class Effects:
    """Counts the files that are replaced or removed; whoever has spent ``left`` dies before the next."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.done, self.left = 0, sys.maxsize
        for owner, name in ((os, "replace"), (Path, "unlink")):
            monkeypatch.setattr(owner, name, self._counted(getattr(owner, name)))

    def _counted(self, effect: Callable[..., Any]) -> Callable[..., Any]:
        def one(*args: Any, **options: Any) -> Any:
            if self.left == 0:
                raise KilledError
            self.left -= 1
            self.done += 1
            return effect(*args, **options)

        return one


@pytest.mark.parametrize("to", list(Home))
def test_a_death_between_any_two_files_leaves_sidecars_held_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, to: Home
) -> None:
    """With a module of another name: the next life finds the refusing one, and ends with the same set."""
    begun = former_project(tmp_path / "begun")
    project = Project(into=begun, module="media")
    project.hold()
    if to is Home.APPLICATION:
        project.switch(Home.COMPONENT)
        project.hold()
    effects = Effects(monkeypatch)
    whole = copied(begun, tmp_path / "whole")
    Project(into=whole, module="media").switch(to)
    assert not Project(into=whole, module="media").is_held
    count = effects.done
    for death in {*range(0, count, 9), *range(count - 4, count)}:
        into = copied(begun, tmp_path / f"death-{death}")
        dying = Project(into=into, module="media")
        effects.left = death
        with pytest.raises(KilledError):
            dying.switch(to)
        effects.left = sys.maxsize
        assert dying.is_held, death
        dying.hold()
        dying.switch(to)
        assert texts(into) == texts(whole)


def copied(source: Path, target: Path) -> Path:
    """Return a copy of a folder."""
    return Path(shutil.copytree(source, target))


def texts(folder: Path) -> dict[Path, str]:
    """Return all files of a folder with their texts."""
    return {path.relative_to(folder): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("scenes.ts", "export {};\n"),
        ("scenes.js", "export {};\n"),
        ("sidecarTables.ts", "export const sidecarTables = {};\n"),
        ("sidecarLib/shapes.ts", "export const mine = 1;\n"),
        ("sidecarLib", "a file\n"),
        ("sidecar/urls.ts", None),
    ],
)
def test_the_way_back_overwrites_nothing_that_the_user_wrote_since(
    tmp_path: Path, name: str, text: str | None
) -> None:
    """A file of the user's where one of before was, a kept one that was edited, an edited one of ours."""
    into = former_project(tmp_path / "convex")
    project = Project(into=into)
    project.hold()
    project.switch(Home.COMPONENT)
    path = into / name
    if path.is_dir():
        shutil.rmtree(path)
    path.write_text(text if text is not None else path.read_text() + "// mine\n")
    before = texts(into)
    with pytest.raises(MigrationError, match=rf"{name} (is yours now|was edited)"):
        project.hold()
    assert texts(into) == before


@pytest.mark.parametrize("name", ["media.ts", "media/urls.ts", "sidecarMigration.ts"])
def test_the_component_overwrites_nothing_of_the_users(tmp_path: Path, name: str) -> None:
    """What it will write only later is looked at before sidecars are held off, too."""
    into = former_project(tmp_path / "convex")
    (into / name).parent.mkdir(exist_ok=True)
    (into / name).write_text("export {};\n")
    before = texts(into)
    with pytest.raises(MigrationError, match="never overwrites it"):
        Project(into=into, module="media").hold()
    assert texts(into) == before

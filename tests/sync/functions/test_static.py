"""The TypeScript is strict, as installed and as served by --dev-auth, and does what a component may."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from sidecar.local.convex_modules import PACKAGES, Node, find_node, modules_folder
from sidecar.local.convex_server import FUNCTIONS, assemble
from sidecar.sync.install import install
from sidecar.sync.install_files import stamped
from tests.support.convex import COMPONENT

from .codegen import generated
from .test_vitest import SUITE


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


# An application that was there before: names, tables and files that the sidecar's have, too.
OWN = {
    "schema.ts": """
import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";
import { lessonTables } from "./lessonTables";
import { sceneAssetFields, sessionAssetFields } from "./sidecar/fields";

export default defineSchema({
  ...lessonTables,
  scenes: defineTable({ title: v.string(), ...sceneAssetFields }).index("by_title", ["title"]),
  videoSessions: defineTable({ mine: v.number(), ...sessionAssetFields }),
  assets: defineTable({ url: v.string() }),
});
""",
    "scenes.ts": """
import { v } from "convex/values";
import { mutation, query } from "./_generated/server";
import { deleteScene, ensureScene } from "./sidecar/application";

export const get = query({ args: { title: v.string() }, handler: async (ctx, { title }) =>
  await ctx.db.query("scenes").withIndex("by_title", (q) => q.eq("title", title)).first() });
export const begin = mutation({
  args: { title: v.string() },
  handler: async (ctx, { title }) => {
    await ctx.db.insert("scenes", { title });
    await ensureScene(ctx, { projectId: "p", sessionId: `p/${title}`, sceneId: "intro", ownerId: "ada" });
    await deleteScene(ctx, { sessionId: `p/${title}`, sceneId: "outro" });
  },
});
""",
    "auth.config.ts": "export default { providers: [] };\n",
    "convex.config.ts": """
import { defineApp } from "convex/server";
import renderSidecar from "./renderSidecar/convex.config";

const app = defineApp();
app.use(renderSidecar);
export default app;
""",
}


def lay_out(project: Path, modules: Path) -> None:
    """Install the functions beside such an application."""
    assemble(project, modules, functions_dir=PACKAGES / "project")
    for name, text in OWN.items():
        (project / "convex" / name).write_text(text.lstrip())
    install(project / "convex")
    for name, text in OWN.items():
        assert (project / "convex" / name).read_text() == text.lstrip()
    lay_out_suite(project)


def lay_out_suite(project: Path) -> None:
    """Add the functions' vitest suite, where its rules and the packaged ones have changed places."""
    names = {"schema.ts": None, "sidecarAccess.ts": "packagedAccess.ts"}
    for path in (SUITE / "convex").iterdir():
        name = names.get(path.name, path.name)
        if name is not None:
            shutil.copyfile(path, project / "convex" / name)


def test_the_functions_are_typed(tmp_path: Path, node: Node, modules: Path) -> None:
    """Strict tsc, offline, beside an application's own scenes, tables and configuration."""
    lay_out(tmp_path, modules)
    run_script(node, tmp_path, "typecheck")


def test_the_development_rules_are_typed(tmp_path: Path, node: Node, modules: Path) -> None:
    """In an empty project, with the rules of `sidecar dev`."""
    assemble(tmp_path, modules, dev_auth=True)
    run_script(node, tmp_path, "typecheck")


def test_the_functions_are_linted(tmp_path: Path, node: Node, modules: Path) -> None:
    """Convex's own rules and typescript-eslint's strict ones, without a warning."""
    lay_out(tmp_path, modules)
    run_script(node, tmp_path, "lint")


def test_installed_functions_are_the_packaged_ones(tmp_path: Path) -> None:
    """One implementation: what `install` writes differs by its first line only."""
    for path, _ in install(tmp_path):
        packaged = (FUNCTIONS / path.relative_to(tmp_path)).read_text()
        assert path.read_text() in (packaged, stamped(packaged))


def test_what_is_generated_follows_the_validators(node: Node, modules: Path) -> None:
    """As Convex's codegen would write it: `python -m tests.sync.functions.codegen` needs no deployment."""
    for name, text in generated(node, modules).items():
        assert (FUNCTIONS / COMPONENT / "_generated" / name).read_text() == text, name


COMPONENT_SOURCES = [path for path in (FUNCTIONS / COMPONENT).rglob("*.ts") if "_generated" not in path.parts]
# What convex-test lets pass and Convex refuses, or answers otherwise, in a component.
REFUSED = {
    "identity": r"ctx\.auth|getUserIdentity",
    "environment": r"process\.env|\benv\.",
    "pagination": r"\.paginate\(|paginationOptsValidator",
    "ids of its tables": r"\bv\.id\(",
    "files of the application": r'from "(\.\./\.\./|\.\./sidecar)',
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_stops_at_a_components_boundary_is_not_used_in_it(what: str) -> None:
    """Identity, environment and ids stop there; paginate is refused."""
    assert len(COMPONENT_SOURCES) > 30
    users = [path.name for path in COMPONENT_SOURCES if re.search(REFUSED[what], code(path))]
    assert users == []


def test_no_row_that_an_application_may_have_made_is_said_to_be_unique() -> None:
    """A second one would make every call throw for good."""
    for path in COMPONENT_SOURCES:
        for table, rest in re.findall(r'query\("(scenes|videoSessions)"\)([^;]*);', code(path)):
            assert ".unique()" not in rest, f"{path.name}: {table}"


def code(path: Path) -> str:
    """Return what a file says beside its comments."""
    return re.sub(r"/\*.*?\*/|//[^\n]*", "", path.read_text(), flags=re.DOTALL)

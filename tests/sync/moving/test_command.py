"""`sidecar convex migrate`: what it asks for, what it says, where it goes on."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from sidecar.cli.convex import app
from sidecar.local.convex_server import ConvexServer
from sidecar.sync.moving.project import BACKUP, Home, Project

from .conftest import former_project

Run = Callable[..., Result]


def edit(into: Path) -> None:
    """Add a line to a file of ours."""
    path = into / "sidecarLib/rows.ts"
    path.write_text(path.read_text() + "// mine\n")


@pytest.fixture
def run(server: ConvexServer, into: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command against the deployment."""
    monkeypatch.setenv("CONVEX_DEPLOY_KEY", server.admin_key)

    def one(*arguments: str) -> Result:
        return CliRunner().invoke(app, ["migrate", "--into", str(into), "--url", server.url, *arguments])

    return one


def test_by_hand_it_waits_twice_for_a_deployment(server: ConvexServer, into: Path, run: Run) -> None:
    """Each time with exit status 75 and the sentence what to do; the third time it is done."""
    held = run()
    assert (held.exit_code, "deploy the folder now" in held.output) == (75, True)
    assert "let no mutation of your own write" in held.output
    server.deploy(into)
    copied = run()
    assert (copied.exit_code, "copying scenes" in copied.output) == (75, True)
    server.deploy(into)
    done = run("--json")
    assert (done.exit_code, json.loads(done.output)["phase"]) == (0, "done")
    assert (into / BACKUP).exists()


def test_it_deploys_with_the_command_that_it_is_given(into: Path, run: Run) -> None:
    """In the project's folder; one that fails ends it with a sentence."""
    command = (
        f"{sys.executable} -c 'import pathlib, sys; sys.exit(not pathlib.Path(\"convex\").is_dir() or 3)'"
    )
    failed = run("--deploy", command)
    assert failed.exit_code == 1
    assert "non-zero exit status 3" in failed.output
    assert into.is_dir()


def test_without_a_key_it_says_which(into: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was written."""
    monkeypatch.delenv("CONVEX_DEPLOY_KEY", raising=False)
    result = CliRunner().invoke(app, ["migrate", "--into", str(into), "--url", "http://127.0.0.1:9"])
    assert (result.exit_code, "CONVEX_DEPLOY_KEY" in result.output) == (2, True)
    assert not (into / BACKUP).exists()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (edit, "was edited"),
        (
            lambda into: (into / "convex.config.ts").write_text("export default {};\n"),
            "app.use(renderSidecar)",
        ),
        (lambda into: (into / "sidecarMigration.ts").write_text("export {};\n"), "never overwrites it"),
        (lambda into: (into / "sidecarLib/apply.ts").unlink(), "sidecar convex install"),
    ],
    ids=["an edited file", "a configuration without the component", "a file in the way", "no installation"],
)
def test_what_is_in_the_way_is_said_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoil: Callable[[Path], None], message: str
) -> None:
    """In one sentence, with what to do."""
    into = former_project(tmp_path / "convex")
    spoil(into)
    before = {path: path.read_text() for path in into.rglob("*") if path.is_file()}
    monkeypatch.setenv("CONVEX_DEPLOY_KEY", "local|admin")
    result = CliRunner().invoke(app, ["migrate", "--into", str(into), "--url", "http://127.0.0.1:9"])
    assert (result.exit_code, message in result.output) == (1, True)
    assert {path: path.read_text() for path in into.rglob("*") if path.is_file()} == before


def test_a_way_back_of_another_module_asks_for_its_name(server: ConvexServer, into: Path, run: Run) -> None:
    """Nothing was held off; a name that cannot be one is refused as by install."""
    project = Project(into=into, module="media")
    project.hold()
    project.switch(Home.COMPONENT)
    server.deploy(into)
    back = run("--back")
    assert (back.exit_code, "(--module)" in back.output) == (1, True)
    assert not project.is_held
    assert "cannot be the module" in run("--module", "schema").output

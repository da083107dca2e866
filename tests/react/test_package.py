"""The React package without a browser: its types, its lint, its parts that are no React, its installation."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sidecar.cli.convex import app
from sidecar.sync.install import REACT, Action, InstallError, install_react
from sidecar.sync.install_files import stamped

from .conftest import Project


def test_its_types_are_strict_and_those_of_the_functions(project: Project) -> None:
    """`types.test-d.ts` compares what hooks expect with what the functions' validators say."""
    project.run("typescript/bin/tsc", "-p", "tsconfig.json")


def test_it_is_linted(project: Project) -> None:
    """By typescript-eslint's strict rules, without a warning."""
    project.run("eslint/bin/eslint.js", "--max-warnings", "0", "react", "example/src")


def test_addresses_the_order_of_play_and_the_two_elements(project: Project) -> None:
    """`units.test.ts`, on virtual time and with elements that are none."""
    _passes(project, "units.test.ts")


def test_what_is_rendered_of_what_the_queries_answer(project: Project) -> None:
    """`rendered.test.ts`: the hooks and the player in React, over a client that answers at once."""
    _passes(project, "rendered.test.ts")


def _passes(project: Project, name: str) -> None:
    bundled = project.bundle(f"tests/{name}", platform="node")
    told = project.run_node("--test", "--test-force-exit", "--test-reporter=tap", str(bundled))
    assert re.search(r"^# pass ([1-9]\d*)$", told, re.MULTILINE)
    assert "# fail 0" in told


def test_its_peers_are_react_and_convex() -> None:
    """Whoever installs it adds no other package."""
    imported = {
        name for path in REACT.glob("*.ts*") for name in re.findall(r'from "([^".][^"]*)"', path.read_text())
    }
    assert imported == {"react", "convex/react", "convex/server"}


def test_it_is_installed_stamped_and_again_without_a_change(tmp_path: Path) -> None:
    """As the functions are; with or without them."""
    target = tmp_path / "src" / "sidecar"
    told = CliRunner().invoke(app, ["install", "--react", str(target)])
    assert told.exit_code == 0
    assert "import { ScenePlayer" in told.output
    assert (target / "index.ts").read_text() == stamped((REACT / "index.ts").read_text())
    assert {path.suffix for path in target.iterdir()} == {".ts", ".tsx"}
    assert {action for _, action in install_react(target)} == {Action.UNCHANGED}


def test_the_hooks_call_the_module_of_the_wrappers(tmp_path: Path) -> None:
    """By names that no file of the application takes away."""
    install_react(tmp_path, module="media")
    told = (tmp_path / "functions.ts").read_text()
    assert '"media/scenes:bySession"' in told
    assert '"sidecar/' not in told


@pytest.mark.parametrize("name", ["index.ts", "index.js", "ScenePlayer.jsx"])
def test_what_is_not_ours_is_never_overwritten(tmp_path: Path, name: str) -> None:
    """Forced or not; nothing at all is written."""
    (tmp_path / name).write_text("export {};\n")
    for force in (False, True):
        with pytest.raises(InstallError, match=re.escape(name)):
            install_react(tmp_path, force=force)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_an_edited_file_of_ours_needs_force(tmp_path: Path) -> None:
    """So that nobody's change is lost by an upgrade."""
    install_react(tmp_path)
    edited = tmp_path / "hooks.ts"
    edited.write_text(edited.read_text() + "// mine\n")
    with pytest.raises(InstallError, match=r"(?s)hooks\.ts.*--force"):
        install_react(tmp_path)
    assert (edited, Action.UPDATED) in install_react(tmp_path, force=True)


def test_an_installation_of_nothing_says_what_there_is() -> None:
    """One sentence, exit status 1."""
    told = CliRunner().invoke(app, ["install"])
    assert told.exit_code == 1
    assert "--into" in told.output
    assert "--react" in told.output

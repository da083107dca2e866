"""``sidecar config check | schema | show | init | example``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sidecar.cli.config import app
from sidecar.settings import load, masked

GOOD = """\
watch: [{root: /renders}]
s3: {bucket: lessons, access_key_id: a, secret_access_key: hush}
convex: {sync: off}
"""
BAD = "watch: []\ns3: {bucket: lessons, wrong: hush}\nconvex: {sync: off}\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a good file."""
    path = tmp_path / "sidecar.yaml"
    path.write_text(GOOD)
    return path


def test_check_says_that_a_file_is_valid(file: Path) -> None:
    """And which file it was."""
    result = CliRunner().invoke(app, ["check", "--config", str(file)])
    assert (result.exit_code, result.stdout) == (0, f"{file} is a valid configuration.\n")


def test_check_lists_every_mistake_and_exits_78(file: Path) -> None:
    """For people on standard error, for programs as JSON."""
    file.write_text(BAD)
    result = CliRunner().invoke(app, ["check", "-c", str(file)])
    assert result.exit_code == 78
    assert [line.split(": ")[1] for line in result.stderr.splitlines()] == ["watch", "s3.wrong"]
    result = CliRunner().invoke(app, ["check", "-c", str(file), "--json"])
    assert result.exit_code == 78
    assert [problem["key"] for problem in json.loads(result.stdout)["problems"]] == ["watch", "s3.wrong"]


def test_show_prints_the_effective_settings_without_secrets(file: Path, tmp_path: Path) -> None:
    """As a configuration that says the same."""
    result = CliRunner().invoke(app, ["show", "-c", str(file)], env={"SIDECAR_S3__BUCKET": "other"})
    assert result.exit_code == 0
    assert "hush" not in result.stdout
    shown = tmp_path / "shown.yaml"
    shown.write_text(result.stdout)
    assert masked(load(shown, environ={})) == masked(load(file, environ={"SIDECAR_S3__BUCKET": "other"}))
    result = CliRunner().invoke(app, ["show", "-c", str(file), "--json"])
    assert json.loads(result.stdout)["s3"]["secret_access_key"] == "********"


def test_schema_is_a_json_schema() -> None:
    """For editors."""
    result = CliRunner().invoke(app, ["schema"])
    assert json.loads(result.stdout)["title"] == "render-sidecar"


def test_a_file_may_be_named_without_an_option(file: Path) -> None:
    """As people write it."""
    assert CliRunner().invoke(app, ["check", str(file)]).stdout == f"{file} is a valid configuration.\n"
    assert "lessons" in CliRunner().invoke(app, ["show", str(file)]).stdout


def test_init_writes_a_file_to_begin_with(tmp_path: Path) -> None:
    """It passes `check` as it is, and says of every value what the default would be or what to change."""
    file = tmp_path / "sidecar.yaml"
    result = CliRunner().invoke(app, ["init", str(file)])
    assert (result.exit_code, f"sidecar config check {file}" in result.stdout) == (0, True)
    assert all("cannot be read now" in warning for warning in load(file, environ={}).warnings)
    assert CliRunner().invoke(app, ["init", str(tmp_path / "b"), "--json"]).exit_code == 0


@pytest.mark.parametrize("name", ["there", "folder", "dangling", "none/sidecar.yaml"])
def test_init_touches_nothing_that_is_there(tmp_path: Path, name: str) -> None:
    """One sentence; not even a link to nowhere is followed."""
    (tmp_path / "there").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "dangling").symlink_to(tmp_path / "target")
    result = CliRunner().invoke(app, ["init", str(tmp_path / name)])
    assert (result.exit_code, result.stderr.startswith("sidecar: ")) == (1, True)
    assert (tmp_path / "there").read_text() == "mine"
    assert not (tmp_path / "target").exists()


def test_example_prints_every_key() -> None:
    """The file of the repository, which the wheel carries."""
    text = (Path(__file__).parent.parent.parent / "config/sidecar.example.yaml").read_text()
    assert CliRunner().invoke(app, ["example"]).stdout == text
    assert json.loads(CliRunner().invoke(app, ["example", "--json"]).stdout) == {"yaml": text}

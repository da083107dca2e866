"""The files in config/ are what a newcomer copies, so they must load."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import jsonschema
import pytest
from ruamel.yaml import YAML

from sidecar.cli.config import EXAMPLES
from sidecar.settings import json_schema, load, masked
from sidecar.settings.known_keys import all_keys

CONFIG = Path(__file__).parent.parent / "config"
ENVIRON = {
    "PROJECT_ID": "algebra",
    "CONVEX_URL": "https://happy-otter-123.convex.cloud",
    "S3_BUCKET": "lessons",
}
FILES = sorted(CONFIG.glob("*.yaml"))
SETTINGS = [path for path in FILES if path.name != "compose.yaml"]
OTHER_MODES = {"convex.auth.token_file", "convex.auth.deploy_key", "convex.auth.deploy_key_file"}


def environ(path: Path) -> dict[str, str]:
    """Return what the file expects of its container; development expects nothing."""
    return {} if path.stem == "development" else ENVIRON


@pytest.mark.parametrize("path", SETTINGS, ids=lambda path: path.name)
def test_every_configuration_loads(path: Path) -> None:
    """Without a mistake and, but for secrets that are not mounted here, without a warning."""
    settings = load(path, environ=environ(path))
    assert all("cannot be read now" in warning for warning in settings.warnings)


def test_the_expected_configurations_are_there() -> None:
    """Example, development, staging, production."""
    assert {path.stem for path in SETTINGS} == {"sidecar.example", "development", "staging", "production"}


def test_the_example_names_every_key() -> None:
    """A newcomer finds everything in one file; keys of the other auth modes stand in a comment."""
    text = (CONFIG / "sidecar.example.yaml").read_text()
    written = set(_keys(YAML(typ="safe", pure=True).load(text)))
    assert set(all_keys()) - written == OTHER_MODES
    assert all(key.rpartition(".")[2] in text for key in OTHER_MODES)


def test_the_example_shows_the_defaults() -> None:
    """What it says of a key is what leaving the key out means."""
    example = masked(load(CONFIG / "sidecar.example.yaml", environ=ENVIRON))
    bare = {"watch": [{"root": "/renders"}], "s3": {"bucket": "lessons"}, "convex": {"sync": "off"}}
    variables = {f"SIDECAR_{name.upper()}": json.dumps(value) for name, value in bare.items()}
    defaults = masked(load(None, environ=variables))
    for values in (example, defaults):
        values["watch"][0].pop("fields")
        values.pop("rules")
        for name in ("url", "auth", "sync"):
            values["convex"].pop(name)
    assert example == defaults


@pytest.mark.parametrize("path", SETTINGS, ids=lambda path: path.name)
def test_every_configuration_fits_the_schema(path: Path) -> None:
    """Effective settings, as editors would check them."""
    jsonschema.validate(masked(load(path, environ=environ(path))), json_schema())


def _keys(values: object, above: str = "") -> list[str]:
    if isinstance(values, dict):
        below = [(f"{above}.{name}" if above else str(name), value) for name, value in values.items()]
        return [key for name, value in below for key in (name, *_keys(value, name))]
    if isinstance(values, list):
        return [key for value in values for key in _keys(value, above)]
    return []


def test_the_wheel_carries_the_example() -> None:
    """Where `sidecar config example` looks for it, and beside it the mark of a typed package."""
    root = CONFIG.parent
    wheel = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    carried = {root / source: root / target for source, target in wheel["force-include"].items()}
    assert carried[EXAMPLES[1]] == EXAMPLES[0]
    assert (root / "sidecar/py.typed").is_file()
    assert "COPY config/sidecar.example.yaml" in (root / "Dockerfile").read_text()


def test_one_audience_is_named_everywhere() -> None:
    """A file that is copied from here fits what another one says of Convex."""
    places = [*CONFIG.rglob("*.yaml"), CONFIG.parent / "README.md", CONFIG.parent / "sidecar/cli/begin.yaml"]
    named = [re.findall(r"^ *audience: *(\S+)", path.read_text(), re.MULTILINE) for path in places]
    assert {name for names in named for name in names} == {"render-sidecar"}

"""``sidecar config check | schema | show``."""

from __future__ import annotations

import json
import os
import sys
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from sidecar.settings import Settings

BAD_CONFIGURATION = 78

app = typer.Typer(help="Check and show the configuration.", no_args_is_help=True)
ConfigPath = Annotated[
    Path | None,
    typer.Option("--config", "-c", envvar="SIDECAR_CONFIG", help="The file; none: the environment alone."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def check(config: ConfigPath = None, *, as_json: AsJson = False) -> None:
    """Validate the configuration: every mistake with its place. Exit status 78 if there is one."""
    settings = _load(config, as_json=as_json)
    if as_json:
        print(json.dumps({"ok": True, "problems": [], "warnings": settings.warnings}))
        return
    for warning in settings.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    print(f"{config or 'the environment'} is a valid configuration.")


@app.command()
def schema() -> None:
    """Print the JSON Schema of the configuration, for editors and other tools."""
    from sidecar.settings import json_schema

    print(json.dumps(json_schema(), indent=2))


@app.command()
def show(config: ConfigPath = None, *, as_json: AsJson = False) -> None:
    """Print the effective settings: defaults, file and environment together, with secrets masked."""
    from sidecar.settings import masked

    values = masked(_load(config, as_json=as_json))
    print(json.dumps(values, indent=2) if as_json else _yaml(values), end="\n" if as_json else "")


def _load(config: Path | None, *, as_json: bool) -> Settings:
    from sidecar.settings import SettingsError, load

    try:
        return load(config, environ=os.environ)
    except SettingsError as error:
        if as_json:
            problems = [
                {"where": one.where, "key": one.key, "message": one.message} for one in error.problems
            ]
            print(json.dumps({"ok": False, "problems": problems, "warnings": []}))
        else:
            print(error, file=sys.stderr)
        raise typer.Exit(BAD_CONFIGURATION) from None


def _yaml(values: dict[str, Any]) -> str:
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.default_flow_style = False
    yaml.representer.add_representer(
        type(None), lambda dumper, _: dumper.represent_scalar("tag:yaml.org,2002:null", "null")
    )
    text = StringIO()
    yaml.dump(values, text)
    return text.getvalue()

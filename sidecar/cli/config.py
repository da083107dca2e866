"""``sidecar config check | schema | show | init | example``."""

from __future__ import annotations

import json
import os
import sys
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from sidecar.settings import Settings

FAILED, BAD_CONFIGURATION = 1, 78
PACKAGE = Path(__file__).parent
EXAMPLES = (  # where the wheel has it, and where a clone has
    PACKAGE / "sidecar.example.yaml",
    PACKAGE.parent.parent / "config" / "sidecar.example.yaml",
)

app = typer.Typer(help="Begin, check and show a configuration.", no_args_is_help=True)
ConfigPath = Annotated[
    Path | None,
    typer.Option("--config", "-c", envvar="SIDECAR_CONFIG", help="The file; none: the environment alone."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


File = Annotated[Path | None, typer.Argument(metavar="[FILE]", help="The same as --config FILE.")]


@app.command()
def check(file: File = None, *, config: ConfigPath = None, as_json: AsJson = False) -> None:
    """Validate the configuration: every mistake with its place. Exit status 78 if there is one."""
    config = file or config
    settings = load_settings(config, as_json=as_json)
    if as_json:
        print(json.dumps({"ok": True, "problems": [], "warnings": settings.warnings}))
        return
    for warning in settings.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    print(f"{config or 'the environment'} is a valid configuration.")


@app.command()
def schema(
    *, as_json: Annotated[bool, typer.Option("--json", help="It is JSON in any case.")] = False
) -> None:
    """Print the JSON Schema of the configuration, for editors and other tools."""
    from sidecar.settings import json_schema

    print(json.dumps(json_schema(), indent=None if as_json else 2))


@app.command()
def show(file: File = None, *, config: ConfigPath = None, as_json: AsJson = False) -> None:
    """Print the effective settings: defaults, file and environment together, with secrets masked."""
    from sidecar.settings import masked

    values = masked(load_settings(file or config, as_json=as_json))
    print(json.dumps(values, indent=2) if as_json else _yaml(values), end="\n" if as_json else "")


@app.command()
def init(
    file: Annotated[Path, typer.Argument(metavar="[FILE]", help="What to write.")] = Path("sidecar.yaml"),
    *,
    as_json: AsJson = False,
) -> None:
    """Write a short configuration to begin with. A file that is there is never touched."""
    try:
        with file.open("x", encoding="utf-8") as made:
            made.write((PACKAGE / "begin.yaml").read_text(encoding="utf-8"))
    except FileExistsError:
        _fail(f"{file} is there already, and is not overwritten; name another file, or move it away")
    except OSError as error:
        _fail(f"{file} cannot be written: {error.strerror or error}")
    if as_json:
        print(json.dumps({"path": str(file)}))
        return
    print(f"{file} is written. Change what it marks, then: sidecar config check {file}")


@app.command()
def example(*, as_json: AsJson = False) -> None:
    """Print a configuration with every key, its unit, its default and why one would change it."""
    text = next(path for path in EXAMPLES if path.is_file()).read_text(encoding="utf-8")
    print(json.dumps({"yaml": text}) if as_json else text, end="\n" if as_json else "")


def _fail(message: str) -> NoReturn:
    print(f"sidecar: {message}", file=sys.stderr)
    raise typer.Exit(FAILED)


def load_settings(config: Path | None, *, as_json: bool = False, watching: bool = True) -> Settings:
    """Return the settings of a file under the environment's; print mistakes and end with 78 otherwise.

    Without ``watching`` no folder has to be named, as for programs that use the library.
    """
    from sidecar.settings import SettingsError, load

    try:
        return load(config, environ=os.environ, watching=watching)
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

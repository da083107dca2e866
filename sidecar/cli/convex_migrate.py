"""``sidecar convex migrate``: moves an installation of before the component into it, or back."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import common

if TYPE_CHECKING:
    from sidecar.sync.moving.deployment import Progress

_KEYS = ("CONVEX_DEPLOY_KEY", "CONVEX_SELF_HOSTED_ADMIN_KEY")
_URLS = ("CONVEX_URL", "CONVEX_SELF_HOSTED_URL")
_STOP = (
    "until this is done, let no mutation of your own write the sidecar's tables;"
    " deleteScene and scenes:remove are refused meanwhile"
)
_OWNER = (
    "has another owner in the old tables, which a mutation of your own wrote meanwhile: it stays as the"
    " component has it; ensureSession or ensureScene of sidecar/application.ts says another one"
)
_DEPLOY = "deploy the folder now (`npx convex deploy`) and run this again: it goes on from here"


def migrate_(
    into: Annotated[Path, typer.Option(help="Your Convex project's convex folder.")],
    *,
    url: Annotated[
        str | None, typer.Option(help="The deployment's URL; else CONVEX_URL, or as the deploy key says.")
    ] = None,
    module: Annotated[str, typer.Option(help="As for install.")] = "sidecar",
    deploy: Annotated[
        str | None,
        typer.Option(metavar="COMMAND", help="Deploys the folder, such as 'npx convex deploy --yes'."),
    ] = None,
    back: Annotated[
        bool, typer.Option("--back", help="Move everything back into the application's tables.")
    ] = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
) -> None:
    """Move what is installed into the component: sidecars are held off, rows copied and compared.

    Wants a deploy key in CONVEX_DEPLOY_KEY. May be ended and run again at any time: it goes on where it was.
    Exit status 75: the folder is to be deployed before it goes on, which ``--deploy`` does by itself.
    """
    from sidecar.sync.install import InstallError, require_module
    from sidecar.sync.moving.deployment import Deployment
    from sidecar.sync.moving.project import Home, MigrationError, Project
    from sidecar.sync.moving.steps import DeploymentNeeded, migrate, needed

    to = Home.APPLICATION if back else Home.COMPONENT
    try:
        require_module(module)
        with Deployment(_url(url), deploy_key=_key()) as deployment:
            run = _deployer(deploy, into.resolve().parent) if deploy else needed
            steps = migrate(Project(into=into, module=module), deployment, to=to, deploy=run)
            _print(steps, json_output=json_output)
    except DeploymentNeeded:
        typer.echo(_DEPLOY, err=True)
        raise typer.Exit(common.TRY_LATER) from None
    except (MigrationError, InstallError, subprocess.SubprocessError) as error:
        typer.echo(f"sidecar: {error}", err=True)
        raise typer.Exit(common.FAILED) from None


def _print(steps: Iterator[Progress], *, json_output: bool) -> None:
    """Print each step, or for people each phase and table once."""
    before = ("", "")
    for step in steps:
        if json_output:
            common.print_json(asdict(step))
        elif (step.phase, step.table) != before:
            print(f"{step.phase} {step.table}".rstrip())
        if step.phase == "holding":
            typer.echo(_STOP, err=True)
        if step.phase == "unclear":
            typer.echo(f"sidecar: {step.table} {_OWNER}", err=True)
        before = (step.phase, step.table)


def _key() -> str:
    return _first(_KEYS, "a deploy key that may run internal functions")


def _url(given: str | None) -> str:
    if given is not None:
        return given
    name, separator, _ = next((os.environ[one] for one in _KEYS if os.environ.get(one)), "").partition("|")
    if separator and ":" in name and not any(os.environ.get(one) for one in _URLS):
        return f"https://{name.rsplit(':', 1)[1]}.convex.cloud"
    return _first(_URLS, "the deployment's URL, or --url")


def _first(names: tuple[str, ...], what: str) -> str:
    found = next((os.environ[name] for name in names if os.environ.get(name)), None)
    if found is None:
        typer.echo(f"sidecar: set {names[0]}: {what}", err=True)
        raise typer.Exit(common.USAGE)
    return found


def _deployer(command: str, project: Path) -> Callable[[], None]:
    def run() -> None:
        subprocess.run(shlex.split(command), cwd=project, check=True)

    return run

"""Defines the commands. ``run`` and ``health`` are only listed here, since they are dispatched before."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from sidecar import __version__

from . import common, config, convex, dead_letters, journal, removal, s3
from .bench import bench
from .demo import demo
from .dev import dev
from .explain import explain
from .health import health
from .reconcile import reconcile
from .run import run
from .status import status
from .wait import wait

_PASSED_ON = {"allow_extra_args": True, "ignore_unknown_options": True}

app = typer.Typer(
    help="Ships finished render output to S3 and announces it in Convex.",
    epilog="Start with `sidecar demo`. Every reading command has --json.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.command("run", context_settings=_PASSED_ON, add_help_option=False)
def run_(context: typer.Context) -> None:
    """Run the sidecar: `sidecar run --config sidecar.yaml`."""
    raise typer.Exit(run(context.args))


app.command(short_help="Watch a folder with local servers.")(dev)
app.command(short_help="Watch a lesson arrive, from ffmpeg to Convex.")(demo)
app.command(short_help="Measure it beside other tools.")(bench)
app.command()(wait)
app.command(short_help="Show what the sidecar does.")(status)
app.command()(explain)
app.add_typer(dead_letters.app)
app.add_typer(removal.app)
app.command(short_help="Compare journal, bucket and Convex.")(reconcile)
app.add_typer(config.app, name="config")
app.add_typer(convex.app, name="convex")
app.add_typer(s3.app, name="s3")
app.add_typer(journal.app)


@app.command("health", context_settings=_PASSED_ON, add_help_option=False)
def health_(context: typer.Context) -> None:
    """Exit 0 if the sidecar is healthy, else 1; for HEALTHCHECK."""
    raise typer.Exit(health(context.args))


@app.command()
def version(*, json_output: common.Json = False) -> None:
    """Print the version."""
    print(json.dumps({"version": __version__}) if json_output else __version__)


@app.callback(invoke_without_command=True)
def _main(
    context: typer.Context,
    *,
    show_version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if show_version:
        print(__version__)
        raise typer.Exit
    if context.invoked_subcommand is None:
        print(context.get_help())
        raise typer.Exit(common.USAGE)

"""``sidecar demo``: see it work, with real servers and nothing to configure."""

from __future__ import annotations

from typing import Annotated

import typer


def demo(
    *,
    json_output: Annotated[
        bool, typer.Option("--json", help="Print one JSON object at the end and nothing else.")
    ] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Stay up afterwards, until Ctrl-C.")] = False,
    page: Annotated[
        bool,
        typer.Option("--open", help="Show the lesson in a browser as it is drawn; stay up until Ctrl-C."),
    ] = False,
) -> None:
    """Draw a lesson while the sidecar ships it to a real S3 server and to the real Convex functions.

    Exit status 0 only if every object equals its file and Convex shows all of it.
    """
    from sidecar.local.commands import run, run_demo

    raise typer.Exit(run(run_demo(json_output=json_output, keep=keep, page=page)))

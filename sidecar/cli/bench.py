"""``sidecar bench``: how quick it is here, beside the tools that one would take instead."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def bench(
    *,
    rows: Annotated[str, typer.Option(help="Rows, with commas: small,large; all: the long ones, too.")] = "",
    peers: Annotated[str, typer.Option(help="Of s5cmd, rclone, aws, floor; default: all.")] = "",
    scale: Annotated[
        float, typer.Option(min=0.0001, max=10, help="Files, bytes and times, times this.")
    ] = 1.0,
    repeat: Annotated[int, typer.Option(min=1, help="Runs of each; medians are shown.")] = 1,
    plain: Annotated[bool, typer.Option("--plain", help="Without encryption only.")] = False,
    tls: Annotated[bool, typer.Option("--tls", help="With TLS only.")] = False,
    json_output: Annotated[
        bool, typer.Option("--json", help="Print one JSON object at the end and nothing else.")
    ] = False,
    svg: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw a chart.")] = None,
    folder: Annotated[
        Path | None, typer.Option(metavar="DIR", help="For the files; else where temporary ones are.")
    ] = None,
) -> None:
    """Measure the sidecar, s5cmd, rclone, the AWS CLI and awscrt against one local S3 server, in turn.

    Exit status 0 if every run came to its end, whether or not the budgets are met. A first look of a minute:
    sidecar bench --plain --scale 0.02 --rows small,chunks,large,trickle
    """
    from sidecar.local.bench.command import Options, main

    chosen = [name for name, wanted in (("plain", plain), ("tls", tls)) if wanted] or ["plain", "tls"]
    raise typer.Exit(
        main(
            Options(
                rows=rows,
                peers=peers,
                transports=chosen,
                scale=scale,
                repeat=repeat,
                json_output=json_output,
                svg=svg,
                folder=folder,
            )
        )
    )

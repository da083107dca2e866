"""``sidecar dev DIR``: the sidecar for a front-end developer's machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def dev(
    directory: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="The folder to watch; made if it is not there.", file_okay=False),
    ],
    *,
    json_output: Annotated[
        bool, typer.Option("--json", help="Print one JSON object for everything that arrives, a line each.")
    ] = False,
    page: Annotated[
        bool, typer.Option("--open", help="Show a session in a browser: the page asks for its name.")
    ] = False,
) -> None:
    """Watch DIR with a local S3 server and the real Convex functions, until Ctrl-C.

    Says what arrives, as it arrives; pages of any origin may play it. Everything but DIR is thrown away at
    the end.
    """
    from sidecar.local.commands import run, run_dev

    raise typer.Exit(run(run_dev(directory.resolve(), json_output=json_output, page=page)))

"""``sidecar dead-letters``: what was given up, and sending it again."""

from __future__ import annotations

from typing import Annotated

import typer

from sidecar.core.errors import ErrorKind

from . import common
from .address import EndpointAccess
from .client import ask
from .table import TableSection, show

app = typer.Typer(
    name="dead-letters",
    help="List what was given up, and send it again.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command("list")
@common.asking
def list_(
    *,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="The most that are shown.")] = 100,
    after: Annotated[int, typer.Option(min=0, help="Go on after this row.")] = 0,
    json_output: common.Json = False,
    door: EndpointAccess,
) -> None:
    """List dead letters, the oldest first, with their errors."""
    with common.sentences():
        query = {"limit": str(limit), "after": str(after)}
        reply = ask(door, "/dead-letters", query=query)[1]
    if json_output:
        common.print_json(reply)
        return
    rows = [
        (one["path"], one["error"]["kind"], one["error"]["message"], one["error"]["hint"] or "")
        if one["error"]
        else (one["path"], "", "", "")
        for one in reply["assets"]
    ]
    if not rows:
        print("There are no dead letters.")
        return
    show([TableSection(title="Dead letters", headers=("path", "error", "message", "hint"), rows=rows)])
    if reply["next"] is not None:
        print(f"There are more: --after {reply['next']}")


@app.command()
@common.asking
def requeue(
    *,
    path: Annotated[str | None, typer.Option(metavar="PATH", help="Of this file.")] = None,
    transfer: Annotated[str | None, typer.Option(metavar="ID", help="This transfer.")] = None,
    error_kind: Annotated[ErrorKind | None, typer.Option(help="Those with this kind of error.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
    json_output: common.Json = False,
    door: EndpointAccess,
) -> None:
    """Send dead letters that match all given filters back to where they died.

    Needs the daemon's unix socket or its token.
    """
    with common.sentences():
        named = {
            "transfer": transfer,
            "path": common.named(path, door) if path else None,
            "error_kind": error_kind,
        }
        body = {name: value for name, value in named.items() if value is not None} | {"all": everything}
        reply = ask(door, "/dead-letters/requeue", method="POST", body=body)[1]
    if json_output:
        common.print_json(reply)
    else:
        print(f"{reply['requeued']} requeued.")

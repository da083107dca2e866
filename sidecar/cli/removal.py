"""``sidecar removal``: files that are gone, and what was meant by it where they are too many."""

from __future__ import annotations

from typing import Annotated

import typer

from sidecar.status.wording import count

from . import common
from .address import EndpointAccess
from .client import ask
from .table import TableSection, show

TIMEOUT_SECONDS = 600.0
app = typer.Typer(
    name="removal",
    help="Say what was meant by files that are gone.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Where = Annotated[str | None, typer.Argument(metavar="[PATH]", help="A file, or a folder with all below it.")]
Everything = Annotated[bool, typer.Option("--all", help="All of them.")]


@app.command("list")
@common.asking
def list_(
    *,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="The most that are shown.")] = 100,
    after: Annotated[int, typer.Option(min=0, help="Go on after this row.")] = 0,
    json_output: common.Json = False,
    door: EndpointAccess,
) -> None:
    """List files that are gone while Convex still shows them: asked about, owed to Convex, or refused."""
    with common.sentences():
        query = {"limit": str(limit), "after": str(after)}
        reply = ask(door, "/removals", query=query)[1]
    if json_output:
        common.print_json(reply)
        return
    rows = [
        (
            one["path"],
            one["state"],
            "asset and object" if one["deletes_object"] else "asset",
            one["error"] or "",
        )
        for one in reply["removals"]
    ]
    if not rows:
        print("No file is gone that Convex still shows.")
        return
    show(
        [
            TableSection(
                title="Files that are gone", headers=("path", "state", "would remove", "error"), rows=rows
            )
        ]
    )
    if reply["next"] is not None:
        print(f"There are more: --after {reply['next']}")


@app.command()
@common.asking
def confirm(
    path: Where = None,
    *,
    everything: Everything = False,
    json_output: common.Json = False,
    door: EndpointAccess,
) -> None:
    """They were meant to go: remove their assets.

    Needs the daemon's unix socket or its token.
    """
    decided = _decide("confirm", path, door, everything=everything, json_output=json_output)
    if not json_output:
        print(f"{count(decided, 'asset')} will be removed.")


@app.command()
@common.asking
def dismiss(
    path: Where = None,
    *,
    everything: Everything = False,
    json_output: common.Json = False,
    door: EndpointAccess,
) -> None:
    """It was no removal: their assets stay.

    Needs the daemon's unix socket or its token.
    """
    decided = _decide("dismiss", path, door, everything=everything, json_output=json_output)
    if not json_output:
        print(f"{count(decided, 'asset')} will stay.")


def _decide(
    word: str,
    path: str | None,
    door: EndpointAccess,
    *,
    everything: bool,
    json_output: bool,
) -> int:
    with common.sentences():
        body = {"all": everything} | ({"path": common.named(path, door)} if path else {})
        reply = ask(
            door,
            f"/removals/{word}",
            method="POST",
            body=body,
            timeout_seconds=TIMEOUT_SECONDS,
        )[1]
    if json_output:
        common.print_json(reply)
    return int(reply["decided"])

"""``sidecar explain PATH``: why a file is where it is."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from sidecar.core.text import printable

from . import common
from .address import EndpointAccess
from .client import ask


@common.asking
def explain(
    path: Annotated[str, typer.Argument(metavar="PATH", help="A file, here or below a watched root.")],
    *,
    json_output: common.Json = False,
    door: EndpointAccess,
) -> None:
    """Say what became of PATH and why, also if it is never sent."""
    with common.sentences():
        reply = ask(door, "/explain", query={"path": common.named(path, door)})[1]
    if json_output:
        common.print_json(reply)
    else:
        print("\n".join(printable(line) for line in lines(reply)))


def lines(reply: dict[str, Any]) -> list[str]:
    """Return a reply of /explain as lines."""
    lines = [reply["path"], f"  {reply['verdict']}", *(f"  - {step}" for step in reply["steps"])]
    asset = reply["asset"]
    if asset and asset["error"] and asset["error"]["hint"]:
        lines.append(f"  hint: {asset['error']['hint']}")
    for event in reply["history"]:
        detail = f": {event['detail']}" if event["detail"] else ""
        lines.append(f"  {event['at']} {event['event']}{detail}")
    return lines

"""``sidecar reconcile``: whether S3 and Convex hold what the sidecar sent."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from . import common
from .address import EndpointAccess
from .client import ask
from .table import TableSection, show

TIMEOUT_SECONDS = 3600.0


@common.asking
def reconcile(
    *,
    apply: Annotated[bool, typer.Option("--apply", help="Also repair what is found.")] = False,
    json_output: common.Json = False,
    door: EndpointAccess,
) -> None:
    """Let the running sidecar compare its journal with the bucket and with Convex.

    Without --apply nothing is changed. Only what this sidecar made is ever touched. Needs the daemon's
    unix socket or its token.
    """
    with common.sentences():
        reply = ask(
            door,
            "/reconcile",
            method="POST",
            body={"apply": apply},
            timeout_seconds=TIMEOUT_SECONDS,
        )[1]
    if json_output:
        common.print_json(reply)
    else:
        _show(reply)


def _show(reply: dict[str, Any]) -> None:
    print(f"{reply['compared']} object keys compared.")
    for note in reply["notes"]:
        print(f"Note: {note}.")
    if not reply["found"]:
        print("Journal, bucket and Convex agree.")
        return
    counts = [(kind, str(n), str(reply["repaired"].get(kind, 0))) for kind, n in reply["found"].items()]
    examples = [(one["type"], one["repair"], one["key"]) for one in reply["examples"]]
    show(
        [
            TableSection(
                title="Inconsistencies", headers=("type", "found", "repairs journaled"), rows=counts
            ),
            TableSection(
                title="Examples",
                headers=("type", "repair", "key"),
                rows=examples,
                total=sum(reply["found"].values()),
            ),
        ]
    )
    if not reply["applied"]:
        print("Nothing was changed: --apply repairs.")

"""``sidecar wait``: a renderer's last step."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from sidecar.core.text import printable
from sidecar.status.query import BadRequestError, duration_seconds

from . import common
from .address import EndpointAccess
from .client import LostError, NotRunningError, ask

MARGIN_SECONDS = 30.0  # the daemon answers at the timeout; this much later it is lost
RETRY_SECONDS = 0.5
RESTART_SECONDS = 60.0  # a daemon that hung up and is not back by then is not restarted any more
_EXIT = {"synced": 0, "failed": common.FAILED, "timeout": common.TRY_LATER}


@common.asking
def wait(
    path: Annotated[
        str | None, typer.Argument(metavar="[PATH]", help="A file or folder; without it, everything.")
    ] = None,
    *,
    session: Annotated[str | None, typer.Option(metavar="S", help="Only this session.")] = None,
    timeout: Annotated[str, typer.Option(metavar="TIME", help="30s, 5m, 1h ...")] = "30m",
    appear: Annotated[
        str, typer.Option(metavar="TIME", help="Wait so long for what nobody has seen yet.")
    ] = "0s",
    json_output: common.Json = False,
    door: EndpointAccess,
) -> None:
    """Wait until everything is in S3 and known to Convex.

    Exit status 0 when it is, 1 when something never will be without help (held, refused, misplaced, dead,
    abandoned, a root that is away, a session or path that nobody has seen), 75 when the time is over.
    """
    seconds, appear_seconds = _seconds(timeout, "--timeout"), _seconds(appear, "--appear")
    with common.sentences():
        query = {"path": common.named(path, door) if path is not None else None, "session": session}
        reply = _patiently(door, query, seconds, appear_seconds)
    if json_output:
        common.print_json(reply)
    else:
        print("\n".join(printable(line) for line in lines(reply)))
    raise typer.Exit(_EXIT[reply["result"]])


def lines(reply: dict[str, Any]) -> list[str]:
    """Return a reply of /wait as lines."""
    lines = [f"{reply['result']}: {reply['verdict']}"]
    for name in ("failed", "owed"):
        lines += [f"  {one['path']}: {one['class'] or one['state']}: {one['why']}" for one in reply[name]]
        if (more := reply[f"{name}_files"] - len(reply[name])) > 0:
            lines.append(f"  and {more} more")
    return [*lines, reply["summary"]]


def _seconds(text: str, option: str) -> float:
    try:
        return duration_seconds(text)
    except BadRequestError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None


def _patiently(
    door: EndpointAccess, query: dict[str, str | None], seconds: float, appear_seconds: float
) -> dict[str, Any]:
    """Ask; where a daemon that answered before is restarted meanwhile, ask the next one."""
    began, lost_at = time.monotonic(), None
    until = began + seconds
    while True:
        now = time.monotonic()
        left = max(0.0, until - now)
        try:
            unseen = max(0.0, appear_seconds - (now - began))
            asked = {**query, "timeout": f"{left:.3f}", "appear": f"{unseen:.3f}"}
            reply: dict[str, Any] = ask(door, "/wait", query=asked, timeout_seconds=left + MARGIN_SECONDS)[1]
        except LostError:
            lost_at = time.monotonic()
            if not left:
                raise
        except NotRunningError:
            if lost_at is None or now - lost_at > RESTART_SECONDS or not left:
                raise
        else:
            return reply
        time.sleep(min(RETRY_SECONDS, left))

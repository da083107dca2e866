"""``sidecar status``: everything at a glance."""

from __future__ import annotations

import contextlib
import sys
import time
from typing import Annotated, Any

import typer

from sidecar import streams
from sidecar.status.words import age, count, size

from . import common
from .client import ask
from .table import Section, renderable, show

EVERY_SECONDS = 1.0


def status(
    *,
    watch: Annotated[bool, typer.Option("--watch", help="Stay and show changes, until Ctrl-C.")] = False,
    json_output: common.Json = False,
    url: common.Url = None,
) -> None:
    """Show what the sidecar does: what is owed, under way, in trouble, and not sent at all."""
    with common.sentences():
        address = common.endpoint(url)
        if watch:
            with contextlib.suppress(KeyboardInterrupt):  # the way it is meant to end
                _follow(lambda: ask(address, "/status")[1], json_output=json_output)
        else:
            _show(ask(address, "/status")[1], json_output=json_output)


def sections(reply: dict[str, Any]) -> list[Section]:
    """Return a reply of /status as tables."""
    backlog = reply["backlog"]
    overview = [
        ("state", reply["state"]),
        *(("reason", reason) for reason in reply["reasons"]),
        ("sidecar", f"{reply['sidecar_id']}, version {reply['version']}, up {age(reply['uptime_seconds'])}"),
        ("backlog", _backlog(backlog)),
        ("not complete", count(reply["pending"]["files"], "file")),
        *([("gone", _gone(reply["removals"]))] if any(reply["removals"].values()) else []),
        *(("S3" if name == "s3" else "Convex", _remote(reply[name])) for name in ("s3", "convex")),
        *([("log", _log(reply["log"]))] if any(reply["log"].values()) else []),
    ]
    return [
        Section(title="Sidecar", rows=overview),
        Section(title="Transfers", rows=[(state, str(n)) for state, n in reply["transfers"].items() if n]),
        Section(title="Uploading", headers=("path", "sent"), rows=[_upload(one) for one in reply["uploads"]]),
        Section(
            title="Not complete yet",
            headers=("path", "why"),
            rows=[(one["path"], one["why"]) for one in reply["pending"]["examples"]],
        ),
        Section(title="Watched", headers=_WATCHED, rows=[_root(root) for root in reply["watch"]]),
        Section(
            title="Not sent",
            headers=("path", "", "why"),
            rows=[
                (one["path"], one["finding"], one["why"])
                for root in reply["watch"]
                for one in root["examples"]
            ],
        ),
    ]


_WATCHED = ("root", "readiness", "events", "unmatched", "refused", "held", "last scan")


def _show(reply: dict[str, Any], *, json_output: bool) -> None:
    if json_output:
        common.print_json(reply)
    else:
        show(sections(reply))


def _follow(read: Any, *, json_output: bool) -> None:
    from rich.console import Console
    from rich.live import Live

    console = Console()
    if json_output or not console.is_terminal:
        _show(read(), json_output=json_output)
        while streams.lost(sys.stdout) is None:  # while somebody reads it
            time.sleep(EVERY_SECONDS)
            _show(read(), json_output=json_output)
        return
    with Live(renderable(sections(read())), console=console, screen=True) as live:
        while streams.lost(sys.stdout) is None:
            time.sleep(EVERY_SECONDS)
            live.update(renderable(sections(read())), refresh=True)


def _backlog(backlog: dict[str, Any]) -> str:
    if not backlog["files"]:
        return "nothing is owed"
    oldest = age(backlog["oldest_seconds"])
    return f"{count(backlog['files'], 'file')}, {size(backlog['bytes'])}, the oldest for {oldest}"


def _gone(removals: dict[str, int]) -> str:
    return ", ".join(f"{number} {state}" for state, number in removals.items() if number)


def _remote(remote: dict[str, Any]) -> str:
    error = remote["last_error"]
    last = f"; last error at {error['at']}: {error['message']}" if error else ""
    return f"breaker {remote['breaker']}{last}"


def _log(log: dict[str, Any]) -> str:
    dropped = f"{count(log['dropped_lines'], 'line')} dropped"
    return f"{dropped}; it cannot be written: {log['trouble']}" if log["trouble"] else dropped


def _upload(one: dict[str, Any]) -> tuple[str, str]:
    share = one["sent"] / one["size"] if one["size"] else 0
    return one["path"], f"{share:.0%} of {size(one['size'])}"


def _root(root: dict[str, Any]) -> tuple[str, ...]:
    counts = (str(root[name]) for name in ("unmatched", "refused", "held"))
    return (root["root"], root["readiness"], root["events"], *counts, root["last_scan_at"] or "not yet")

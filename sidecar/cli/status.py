"""``sidecar status``: everything at a glance."""

from __future__ import annotations

import contextlib
import sys
from typing import Annotated, Any

import typer

from sidecar.core.speed import Speeds, seconds_left
from sidecar.status.wording import age, count, size

from . import common
from .address import EndpointAccess
from .client import ask
from .following import follow
from .table import TableSection, show


@common.asking
def status(
    *,
    watch: Annotated[bool, typer.Option("--watch", help="Stay and show changes, until Ctrl-C.")] = False,
    json_output: common.Json = False,
    door: EndpointAccess,
) -> None:
    """Show what the sidecar does: what is owed, under way, in trouble, and not sent at all."""
    with common.sentences():
        if watch:
            with contextlib.suppress(KeyboardInterrupt):  # the way it is meant to end
                follow(
                    lambda: ask(door, "/status")[1],
                    show=lambda reply: _show(reply, json_output=json_output),
                    sections=sections,
                    live=sys.stdout.isatty() and not json_output,
                )
        else:
            _show(ask(door, "/status")[1], json_output=json_output)


def sections(reply: dict[str, Any], speeds: Speeds | None = None) -> list[TableSection]:
    """Return a reply of /status as tables; ``speeds`` where several were seen."""
    backlog, speeds = reply["backlog"], speeds or Speeds()
    overview = [
        ("state", reply["state"]),
        *(("reason", reason) for reason in reply["reasons"]),
        *(("attention", sentence) for sentence in reply["attention"]),
        ("sidecar", f"{reply['sidecar_id']}, version {reply['version']}, up {age(reply['uptime_seconds'])}"),
        ("backlog", _backlog(backlog) + _rest(reply, speeds)),
        (
            "transfers",
            ", ".join(f"{n} {state}" for state, n in reply["transfers"].items() if n) or "none yet",
        ),
        ("not complete", count(reply["pending"]["files"], "file")),
        *([("gone", _gone(reply["removals"]))] if any(reply["removals"].values()) else []),
        *(("S3" if name == "s3" else "Convex", _remote(reply[name])) for name in ("s3", "convex")),
        ("checksum", _checksum(reply["checksum"])),
        *([("log", _log(reply["log"]))] if any(reply["log"].values()) else []),
    ]
    return [
        TableSection(title="Sidecar", rows=overview),
        TableSection(
            title="Uploading", headers=_UPLOADING, rows=[_upload(one, speeds) for one in _sorted(reply)]
        ),
        TableSection(
            title="Not complete yet",
            headers=("path", "why"),
            rows=[(one["path"], one["why"]) for one in reply["pending"]["examples"]],
            total=reply["pending"]["files"],
        ),
        TableSection(title="Watched", headers=_WATCHED, rows=[_root(root) for root in reply["watch"]]),
        TableSection(
            title="Not sent",
            headers=("path", "what", "why"),
            rows=[
                (one["path"], one["finding"], one["why"])
                for root in reply["watch"]
                for one in root["examples"]
            ],
            total=sum(root[finding] for root in reply["watch"] for finding in _NOT_SENT),
        ),
    ]


_NOT_SENT = ("unmatched", "misplaced", "refused", "held")
_UPLOADING = ("path", "sent", "speed", "left")
_WATCHED = ("root", "readiness", "events", *_NOT_SENT, "last scan")


def _show(reply: dict[str, Any], *, json_output: bool) -> None:
    if json_output:
        common.print_json(reply)
    else:
        show(sections(reply))


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


def _checksum(used: dict[str, Any]) -> str:
    """Name what bytes are checked by; how it came about where s3.checksum is auto."""
    which = (
        used["put"] if used["put"] == used["multipart"] else f"{used['put']}, {used['multipart']} in parts"
    )
    if used["setting"] != "auto":
        return which
    found = (
        "the best that the store confirms" if used["found"] else "until it is known what the store confirms"
    )
    return f"{which}, {found}"


def _log(log: dict[str, Any]) -> str:
    dropped = f"{count(log['dropped_lines'], 'line')} dropped"
    return f"{dropped}; it cannot be written: {log['trouble']}" if log["trouble"] else dropped


def _sorted(reply: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the uploads, first what arrives next."""
    return sorted(reply["uploads"], key=lambda one: (-_share(one), one["size"] - one["sent"], one["path"]))


def _share(one: dict[str, Any]) -> float:
    return float(one["sent"] / one["size"]) if one["size"] else 0.0


def _upload(one: dict[str, Any], speeds: Speeds) -> tuple[str, str, str, str]:
    speed = speeds.of(one["transfer"])
    left = seconds_left(one["size"] - one["sent"], speed)
    sent = f"{_share(one):.0%} of {size(one['size'])}"
    return one["path"], sent, f"{size(speed)}/s" if speed else "", age(left) if left is not None else ""


def _rest(reply: dict[str, Any], speeds: Speeds) -> str:
    """Return how fast the backlog goes, and when it will have gone; "" while nobody can tell."""
    if not speeds.total or not reply["backlog"]["files"]:
        return ""
    sent = sum(one["sent"] for one in reply["uploads"])
    left = seconds_left(max(0, reply["backlog"]["bytes"] - sent), speeds.total)
    return f"; {size(speeds.total)}/s, about {age(left or 0.0)} left"


def _root(root: dict[str, Any]) -> tuple[str, ...]:
    counts = (str(root[name]) for name in _NOT_SENT)
    return (
        root["root"],
        root["readiness"],
        root["events"],
        *counts,
        (root["last_scan_at"] or "not yet")[11:19] or "not yet",
    )

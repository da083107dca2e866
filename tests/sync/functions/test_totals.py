"""Totals that are counted again: exact ones stay, wrong ones are set right, in steps and beside writers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sidecar.cli.convex import app
from sidecar.local.convex_server import ConvexServer
from tests.support.convex import Caller, Sidecar, facts, put

SCENES = 120  # several steps


def fill(sidecar: Sidecar) -> dict[str, Any]:
    """Give a session its scenes; return what its totals are."""
    for first in range(0, SCENES, 40):
        scenes = [f"scene-{number}" for number in range(first, first + 40)]
        sidecar.apply(*[put(entityId=scene) for scene in scenes], *[facts(scene) for scene in scenes])
    return {"assetCount": SCENES, "totalAssetSize": 1000 * SCENES, "sceneCount": SCENES, "readyCount": SCENES}


def step(sidecar: Sidecar, progress: Any) -> dict[str, Any]:
    """Take one step of a recount."""
    result: dict[str, Any] = sidecar.caller.mutation(
        "sidecar:recount", sessionId=sidecar.session_id, progress=progress
    )
    return result


def recount(sidecar: Sidecar) -> tuple[str, int, int]:
    """Count to the end; return the outcome, wrong entities and steps."""
    result, steps = step(sidecar, None), 1
    while result["outcome"] == "more":
        result, steps = step(sidecar, result["progress"]), steps + 1
    return result["outcome"], int(result["wrong"]), steps


def test_totals_are_counted_again_and_set_right(
    server: ConvexServer, sidecar: Sidecar, player: Caller
) -> None:
    """An entity that does not add up, and a counter that lies."""
    right = fill(sidecar)
    assert recount(sidecar) == ("exact", 0, 3)
    with Caller(server.url, f"Convex {server.admin_key}") as admin:
        admin.inside("testing:miscount", sessionId=sidecar.session_id)
    shown = player.query("sessions:get", sessionId=sidecar.session_id)
    assert (shown["sceneCount"], shown["totalAssetSize"]) == (0, right["totalAssetSize"] + 5)
    assert recount(sidecar) == ("mended", 1, 3)
    session = player.query("sessions:get", sessionId=sidecar.session_id)
    assert {name: session[name] for name in right} == right
    assert session["assetsStatus"] == "ready"
    assert recount(sidecar) == ("exact", 0, 3)


def test_what_is_written_during_a_count_is_not_taken_for_wrong(sidecar: Sidecar, player: Caller) -> None:
    """The counters moved since it began: nothing is corrected by an old sum."""
    right = fill(sidecar)
    first = step(sidecar, None)
    sidecar.apply(put("late.mp4", entityId="scene-0"))
    result = step(sidecar, step(sidecar, first["progress"])["progress"])
    assert (result["outcome"], result["wrong"]) == ("changed", 0)
    session = player.query("sessions:get", sessionId=sidecar.session_id)
    assert session["assetCount"] == right["assetCount"] + 1
    assert recount(sidecar)[0] == "exact"


@pytest.fixture
def config(tmp_path: Path, server: ConvexServer) -> Path:
    """A sidecar's configuration with a deploy key."""
    path = tmp_path / "sidecar.yaml"
    convex = {"url": server.url, "auth": {"mode": "deploy_key", "deploy_key": server.admin_key}}
    s3 = {"bucket": "lessons", "region": "eu-central-1"}
    path.write_text(json.dumps({"watch": [{"root": str(tmp_path)}], "s3": s3, "convex": convex}))
    return path


def test_the_command_counts_again(server: ConvexServer, sidecar: Sidecar, config: Path) -> None:
    """Each session in one line; of a deployment that is paused it says so, with status 1."""
    fill(sidecar)
    command = ["check-totals", sidecar.session_id, "-c", str(config)]
    result = CliRunner().invoke(app, command)
    assert (result.exit_code, result.output) == (0, f"{sidecar.session_id}: the totals are exact.\n")
    with Caller(server.url, f"Convex {server.admin_key}") as admin:
        admin.inside("testing:miscount", sessionId=sidecar.session_id)
    assert "right now; 1 scenes did not add up" in CliRunner().invoke(app, command).output
    [told] = json.loads(CliRunner().invoke(app, [*command, "--json"]).output)
    assert told == {"session_id": sidecar.session_id, "outcome": "exact", "wrong": 0}
    server.control("paused", {"paused": True})
    try:
        refused = CliRunner().invoke(app, command)
    finally:
        server.control("paused", {"paused": False})
    assert (refused.exit_code, "paused" in refused.output) == (1, True)

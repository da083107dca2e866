"""Sessions that were deleted in the component: the tables of before know of no such thing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sidecar.local.convex_server import ConvexServer
from sidecar.sync.moving.project import Home
from tests.support.convex import COMPONENT, Caller, Sidecar, facts, put

from .conftest import SESSION
from .test_moving import move, rows

Connect = Callable[[str], Sidecar]
TABLES = ("videoSessions", "scenes", "assets", "sceneFacts", "entityTotals", "sidecarCounters")
# A deletion that was killed: its tombstone, and no job.
TESTING = """
import { v } from "convex/values";
import { internalMutation } from "./_generated/server";
export const bury = internalMutation({
  args: { sessionId: v.string() },
  handler: async (ctx, { sessionId }) => {
    await ctx.db.insert("deletedSessions", { sessionId, deletedAt: Date.now() });
  },
});
"""


def test_a_deleted_session_stays_deleted_on_the_way_back(
    server: ConvexServer, into: Path, connect: Connect
) -> None:
    """Its deletion ends first, each of its scenes is refused, and the component forgets what it knew."""
    scenes = [f"scene-{n:03}" for n in range(120)]
    one = connect("a")
    for some in (scenes[:60], scenes[60:]):
        one.apply(*(put(entityId=scene) for scene in some))
    one.apply(facts(scenes[0]))
    move(server, into, Home.COMPONENT)
    testing = into / COMPONENT / "testing.ts"
    testing.write_text(TESTING)
    server.deploy(into)
    with Caller(server.url, f"Convex {server.admin_key}") as owner:
        owner.inside("testing:bury", sessionId=SESSION)
    testing.unlink()
    move(server, into, Home.APPLICATION)
    assert {table: rows(server, table) for table in TABLES} == {table: [] for table in TABLES}
    assert sorted(row["sceneId"] for row in rows(server, "deletedScenes")) == scenes
    late = [put(entityId=scenes[0]), put(entityId=scenes[-1]), facts(scenes[1])]
    assert one.outcomes(*late) == ["rejected"] * 3
    assert one.outcomes(put(entityId="new")) == ["applied"]
    move(server, into, Home.COMPONENT)
    assert rows(server, f"{COMPONENT}/deletedSessions") == []
    assert one.outcomes(put("b.mp4", entityId="new"), put(entityId=scenes[0])) == ["applied", "rejected"]

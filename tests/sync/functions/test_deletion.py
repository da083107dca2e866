"""Sessions that are deleted, and assets of which nothing tells any more."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sidecar.local.convex_server import FUNCTIONS, ConvexServer
from tests.support.convex import COMPONENT, Caller, Sidecar, facts, put, remove

HOUR_MS = 3_600_000
TABLES = ("videoSessions", "scenes", "assets", "sceneFacts", "entityTotals", "sidecarCounters")
# What a kill, or an application that deletes documents by itself, leaves behind.
TESTING = """
import { v } from "convex/values";
import { internalMutation } from "./_generated/server";
export const bury = internalMutation({
  args: { sessionId: v.string() },
  handler: async (ctx, { sessionId }) => {
    await ctx.db.insert("deletedSessions", { sessionId, deletedAt: Date.now() });
    for (const row of await ctx.db.query("videoSessions").collect()) {
      if (row.sessionId === sessionId) await ctx.db.delete(row._id);
    }
  },
});
export const orphan = internalMutation({
  args: { sessionId: v.string(), sceneId: v.string(), ageMs: v.number() },
  handler: async (ctx, { sessionId, sceneId, ageMs }) => {
    for (const row of await ctx.db.query("scenes").collect()) {
      if (row.sessionId === sessionId && row.sceneId === sceneId) await ctx.db.delete(row._id);
    }
    for (const row of await ctx.db.query("assets").collect()) {
      if (row.sessionId !== sessionId || row.entityId !== sceneId) continue;
      await ctx.db.patch(row._id, { updatedAt: row.updatedAt - ageMs });
    }
  },
});
"""
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConvexServer]:
    """The packaged functions, where everybody may read."""
    functions = tmp_path_factory.mktemp("deletion") / "convex"
    shutil.copytree(FUNCTIONS, functions)
    (functions / COMPONENT / "testing.ts").write_text(TESTING)
    with ConvexServer(functions_dir=Path(functions), dev_auth=True) as running:
        yield running


@pytest.fixture
def admin(server: ConvexServer) -> Iterator[Caller]:
    """Who holds the deployment's key."""
    with Caller(server.url, f"Convex {server.admin_key}") as caller:
        yield caller


@pytest.fixture
def sidecar(server: ConvexServer) -> Iterator[Sidecar]:
    """A sidecar in a session and project of its own."""
    number = next(_numbers)
    with Caller(server.url) as caller:
        yield Sidecar(caller, sidecar_id=f"s{number}", session_id=f"p{number}/s", project_id=f"p{number}")


def left(server: ConvexServer, sidecar: Sidecar) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of the session, by table."""
    rows = {
        table: server.table(f"{COMPONENT}/{table}") for table in (*TABLES, "assetVersions", "deletedSessions")
    }
    return {
        table: [one for one in some if one["sessionId"] == sidecar.session_id] for table, some in rows.items()
    }


def fill(sidecar: Sidecar) -> None:
    """Write what takes the deletion several steps."""
    for scene in range(12):
        assets = [put(f"{n}.mp4", entityId=f"s{scene:02}") for n in range(25)]
        sidecar.apply(*assets, facts(f"s{scene:02}"))
    manifest = {"entityType": "session", "entityId": sidecar.session_id, "assetType": "manifest"}
    sidecar.apply(put("manifest.json", **manifest))


def test_a_session_that_is_deleted_is_gone_at_once_and_stays_so(
    server: ConvexServer, admin: Caller, sidecar: Sidecar
) -> None:
    """Whatever its sidecars still send. What names its objects stays; a second deletion changes nothing."""
    fill(sidecar)
    admin.mutation("sessions:remove", sessionId=sidecar.session_id)
    assert sidecar.caller.query("sessions:get", sessionId=sidecar.session_id) is None
    assert sidecar.caller.query("scenes:get", sessionId=sidecar.session_id, sceneId="s00") is None
    codes = [one.get("code") for one in sidecar.apply(put(entityId="s00"), facts("s00"), remove("0.mp4"))]
    assert codes == ["SESSION_DELETED"] * 3
    server.control("settle", {})
    after = left(server, sidecar)
    assert {table: len(after[table]) for table in TABLES} == dict.fromkeys(TABLES, 0)
    assert len(after["assetVersions"]) == 301
    page = sidecar.caller.query("sidecar:versions", sidecarId=sidecar.sidecar_id, cursor=None)
    assert {one["status"] for one in page["versions"]} == {"deleted"}
    admin.mutation("sessions:remove", sessionId=sidecar.session_id)
    server.control("settle", {})
    assert left(server, sidecar) == after


def test_what_was_applied_is_never_refused_afterwards(admin: Caller, sidecar: Sidecar) -> None:
    """Its answer was lost, and its session is gone: a refusal would say that nothing names its object."""
    told = put()
    sidecar.apply(told)
    admin.mutation("sessions:remove", sessionId=sidecar.session_id)
    assert sidecar.outcomes(told, put("b.mp4")) == ["duplicate", "rejected"]


def test_a_deletion_that_was_killed_goes_on(server: ConvexServer, admin: Caller, sidecar: Sidecar) -> None:
    """Its tombstone stands, so nothing comes back meanwhile; whoever deletes again ends it."""
    fill(sidecar)
    admin.inside("testing:bury", sessionId=sidecar.session_id)
    assert sidecar.apply(put())[0]["code"] == "SESSION_DELETED"
    admin.mutation("sessions:remove", sessionId=sidecar.session_id)
    server.control("settle", {})
    assert not any(left(server, sidecar)[table] for table in TABLES)


def test_a_deletion_goes_on_where_a_migration_begins_the_jobs_again(
    server: ConvexServer, admin: Caller, sidecar: Sidecar
) -> None:
    """Its job was cancelled, and the way back given up."""
    fill(sidecar)
    admin.inside("testing:bury", sessionId=sidecar.session_id)
    admin.inside("migration:startJobs", table="deletedScenes", cursor=None)
    server.control("settle", {})
    assert not any(left(server, sidecar)[table] for table in TABLES)
    assert "purgedAt" in left(server, sidecar)["deletedSessions"][0]


def test_a_backend_brings_no_session_back_that_is_being_deleted(
    server: ConvexServer, admin: Caller, sidecar: Sidecar
) -> None:
    """To remove its assets is to remove nothing; a document that came back all the same goes, too."""
    fill(sidecar)
    (document,) = left(server, sidecar)["videoSessions"]
    admin.inside("testing:bury", sessionId=sidecar.session_id)
    slots = [
        {"entityType": "session", "entityId": sidecar.session_id, "assetType": "manifest"}
        | {"name": "manifest.json"},
        {"entityType": "scene", "entityId": "s00", "assetType": "video_chunk", "name": "0.mp4"},
    ]
    removals = [{"slot": {**slot, "sessionId": sidecar.session_id}, "expectedVersion": 1} for slot in slots]
    removed = admin.mutation("sidecar:removeAssetsInternal", projectId=sidecar.project_id, removals=removals)
    assert [one["outcome"] for one in removed] == ["absent", "absent"]
    assert left(server, sidecar)["videoSessions"] == []
    row = {name: value for name, value in document.items() if not name.startswith("_")}
    admin.inside("migration:write", table="videoSessions", rows=[json.dumps(row)])
    admin.inside("lib/sessionDeletion:purge", sessionId=sidecar.session_id)
    server.control("settle", {})
    assert not any(left(server, sidecar)[table] for table in TABLES)


def test_a_session_that_is_made_again_goes_on_counting(
    server: ConvexServer, admin: Caller, sidecar: Sidecar
) -> None:
    """Its versions are numbered as if nothing had been: no old object is taken for a new one."""
    sidecar.apply(put())
    admin.mutation("sessions:remove", sessionId=sidecar.session_id)
    server.control("settle", {})
    admin.inside("sessions:ensure", sessionId=sidecar.session_id, projectId=sidecar.project_id)
    assert sidecar.apply(put(content="B"))[0]["version"] == 2
    totals = sidecar.caller.query("sessions:get", sessionId=sidecar.session_id)
    assert (totals["assetCount"], totals["sceneCount"]) == (1, 1)


def test_a_purge_that_comes_late_takes_nothing_of_a_scene_that_was_made_again(
    server: ConvexServer, admin: Caller, sidecar: Sidecar
) -> None:
    """Deleted twice, or a job that a migration began again: the totals go on counting what is there."""
    scene = {"sessionId": sidecar.session_id, "sceneId": "intro"}
    sidecar.apply(put(), facts())
    admin.mutation("scenes:remove", **scene)
    server.control("settle", {})
    admin.inside("migration:startJobs", table="deletedScenes", cursor=None)
    admin.inside("scenes:ensure", **scene, projectId=sidecar.project_id)
    sidecar.apply(put(content="B"), facts())
    server.control("settle", {})
    admin.inside("lib/deletion:purge", **scene)
    assert [row["version"] for row in left(server, sidecar)["assets"]] == [2]
    assert len(left(server, sidecar)["sceneFacts"]) == 1
    assert sidecar.caller.query("sessions:get", sessionId=sidecar.session_id)["assetCount"] == 1


@pytest.fixture
def clean(admin: Caller, sidecar: Sidecar) -> Callable[..., list[str]]:
    """Look through a project in steps; return the names of what was found."""

    def cleaned(*, dry_run: bool, project_id: str | None = None) -> list[str]:
        names, cursor, is_over = list[str](), None, False
        while not is_over:
            where = {"projectId": project_id or sidecar.project_id, "dryRun": dry_run, "cursor": cursor}
            page = admin.mutation("sidecar:cleanupOrphanedAssetsInternal", **where)
            names += [asset["name"] for asset in page["orphans"]]
            cursor, is_over = page["cursor"], page["cursor"] is None
        return sorted(names)

    return cleaned


def test_what_nothing_tells_of_is_cleaned_up_and_nothing_else(
    server: ConvexServer, admin: Caller, sidecar: Sidecar, clean: Callable[..., list[str]]
) -> None:
    """A dry run changes nothing, and neither does a second one; what came lately may still be waited for."""
    lost = sorted(f"lost{n:03}.mp4" for n in range(150))
    for some in (lost[:90], lost[90:]):
        sidecar.apply(*[put(name, entityId="lost") for name in some])
    sidecar.apply(put("kept.mp4", entityId="kept"), put("new.mp4", entityId="new"), facts("kept"))
    for scene, age in {"lost": 25 * HOUR_MS, "new": 23 * HOUR_MS}.items():
        admin.inside("testing:orphan", sessionId=sidecar.session_id, sceneId=scene, ageMs=age)
    before = left(server, sidecar)
    assert clean(dry_run=True) == lost
    assert left(server, sidecar) == before
    assert clean(dry_run=False, project_id="another") == []
    assert clean(dry_run=False) == lost
    after = left(server, sidecar)
    assert sorted(row["name"] for row in after["assets"]) == ["kept.mp4", "new.mp4"]
    assert after["assetVersions"] == before["assetVersions"]
    assert [row["sceneId"] for row in after["scenes"]] == ["kept"]
    totals = sidecar.caller.query("sessions:get", sessionId=sidecar.session_id)
    assert (totals["assetCount"], totals["totalAssetSize"], totals["sceneCount"]) == (2, 2000, 2)
    assert clean(dry_run=False) == []
    assert json.dumps(left(server, sidecar)) == json.dumps(after)


def test_an_orphan_that_is_sent_again_is_there_again(
    admin: Caller, sidecar: Sidecar, clean: Callable[..., list[str]]
) -> None:
    """What waited in an outbox is no orphan once it has come."""
    sidecar.apply(put("a.mp4", entityId="back"))
    admin.inside("testing:orphan", sessionId=sidecar.session_id, sceneId="back", ageMs=25 * HOUR_MS)
    sidecar.apply(put("b.mp4", entityId="back"))
    assert clean(dry_run=False) == []

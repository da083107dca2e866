"""The application's own documents follow: it is called until it succeeds, never in a sidecar's way."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sidecar.local.convex_server import FUNCTIONS, ConvexServer
from tests.support.convex import COMPONENT, Caller, Sidecar, Signer, auth_config, facts, put, remove
from tests.support.system import eventually

# Times of the packaged functions, and those of this suite.
TIMES = {
    "callbacks.ts": [("session: 1_000", "session: 10"), ("BACKOFF_MS = 10_000", "BACKOFF_MS = 300")],
    "liveness.ts": [("SILENCE_MS = 15 * 60_000", "SILENCE_MS = 3_000")],
}
LAB = Signer("https://lab.test")  # a backend of two projects
SCHEMA = """
import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";
import { sceneAssetFields, sessionAssetFields } from "./sidecar/fields";
export default defineSchema({
  lessons: defineTable({
    sessionId: v.string(), sceneId: v.string(), gone: v.boolean(), ...sceneAssetFields,
  }),
  courses: defineTable({ sessionId: v.string(), ...sessionAssetFields }),
  broken: defineTable({ sceneId: v.string() }),
});
"""
LESSONS = """
import { v } from "convex/values";
import { internalMutation } from "./_generated/server";
import { sceneChangeArgs, sessionChangeArgs } from "./sidecar/fields";
export const sceneChanged = internalMutation({
  args: sceneChangeArgs,
  handler: async (ctx, { sessionId, sceneId, scene }) => {
    await ctx.db.insert("lessons", { sessionId, sceneId, gone: scene === null, ...(scene && {
      assetsStatus: scene.assetsStatus, assetVersion: scene.assetVersion,
      ...(scene.videoAsset && { videoAsset: scene.videoAsset }),
      ...(scene.stalledSince !== undefined && { stalledSince: scene.stalledSince }),
    }) });
    const broken = await ctx.db.query("broken").collect();
    if (broken.some((row) => row.sceneId === sceneId)) throw new Error(`no lesson for ${sceneId}`);
  },
});
export const sessionChanged = internalMutation({
  args: sessionChangeArgs,
  handler: async (ctx, { sessionId, session }) => {
    await ctx.db.insert("courses", { sessionId, ...(session && { assetCount: session.assetCount }) });
    const broken = await ctx.db.query("broken").collect();
    if (broken.some((row) => row.sceneId === sessionId)) throw new Error(`no course for ${sessionId}`);
  },
});
export const fail = internalMutation({
  args: { sceneId: v.string() },
  handler: async (ctx, row) => { await ctx.db.insert("broken", row); },
});
export const mend = internalMutation({
  args: {},
  handler: async (ctx) => {
    for (const row of await ctx.db.query("broken").collect()) await ctx.db.delete("broken", row._id);
  },
});
"""
# In the component: a notice whose call is still to come, and the changes of many writers at once.
TESTING = """
import { v } from "convex/values";
import { internalMutation } from "./_generated/server";
import { notify } from "./lib/callbacks";
export const begin = internalMutation({
  args: { sessionId: v.string(), sceneId: v.string() },
  handler: async (ctx, { sessionId, sceneId }) => {
    const of = { sessionId, entityType: "scene" as const, entityId: sceneId, producer: "" };
    await ctx.db.insert("notices", { ...of, projectId: "p", attempts: 0, since: Date.now() });
  },
});
export const change = internalMutation({
  args: { sessionId: v.string(), writers: v.number() },
  handler: async (ctx, { sessionId, writers }) => {
    const session = { sessionId, entityType: "session" as const, entityId: sessionId };
    for (let n = 0; n < writers; n += 1) await notify(ctx, session, `writer-${n}`);
  },
});
export const failures = internalMutation({
  args: { projectId: v.string(), count: v.number(), failedAt: v.number() },
  handler: async (ctx, { projectId, count, failedAt }) => {
    for (const row of await ctx.db.query("notices").collect()) {
      if (row.projectId === projectId) await ctx.db.delete(row._id);
    }
    const of = { projectId, sessionId: projectId, entityType: "scene" as const, producer: "" };
    const tried = { attempts: 1, since: 1, error: "no" };
    for (let n = 0; n < count; n += 1) {
      await ctx.db.insert("notices", { ...of, ...tried, entityId: `${n}`, failedAt: failedAt + n });
    }
  },
});
"""
ACCESS = """
import { internal } from "./_generated/api";
import type { SceneCallback, SessionCallback } from "./sidecar/callbacks";
export const canReadSession = async () => true;
export const projectsOf = (issuer: string): string[] => issuer === "https://lab.test" ? ["lab", "q"] : [];
export const roleOf = (_issuer: string) => "backend" as const;
export const onSceneChange: SceneCallback = internal.lessons.sceneChanged;
export const onSessionChange: SessionCallback = internal.lessons.sessionChanged;
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConvexServer]:
    """An application whose lessons follow."""
    functions = tmp_path_factory.mktemp("callbacks") / "convex"
    shutil.copytree(FUNCTIONS, functions)
    for name, changes in TIMES.items():
        path = functions / COMPONENT / "lib" / name
        text = path.read_text()
        for before, after in changes:
            assert before in text
            text = text.replace(before, after)
        path.write_text(text)
    (functions / COMPONENT / "testing.ts").write_text(TESTING)
    (functions / "auth.config.ts").write_text(auth_config(LAB))
    for name, text in {"schema.ts": SCHEMA, "lessons.ts": LESSONS, "sidecarAccess.ts": ACCESS}.items():
        (functions / name).write_text(text)
    with ConvexServer(functions_dir=Path(functions)) as running:
        yield running


@pytest.fixture
def admin(server: ConvexServer) -> Iterator[Caller]:
    """Whoever holds an admin key."""
    with Caller(server.url, f"Convex {server.admin_key}") as connected:
        yield connected


class Deployed(Sidecar):
    """A sidecar with a deploy key."""

    def register(self, journal_id: str) -> Any:
        """By the internal twin."""
        return self.caller.mutation(
            "sidecar:registerInternal", sidecarId=self.sidecar_id, journalId=journal_id
        )

    def apply(self, *ops: dict[str, Any], **over: Any) -> list[dict[str, Any]]:
        """By the internal twin."""
        args = {"sidecarId": self.sidecar_id, "projectId": self.project_id, "sessionId": self.session_id}
        results: list[dict[str, Any]] = self.caller.mutation(
            "sidecar:applyAssetsInternal", **args, epoch=self.epoch, ackedSeq=0, ops=list(ops), **over
        )
        return results


def told(server: ConvexServer, sidecar: Sidecar) -> list[dict[str, Any]]:
    """Return what the application heard of scene intro, the oldest first."""
    return [row for row in server.table("lessons") if row["sessionId"] == sidecar.session_id]


def notices(server: ConvexServer, sidecar: Sidecar) -> list[dict[str, Any]]:
    """Return what the application was not told yet of the session and its scenes."""
    rows = server.table(f"{COMPONENT}/notices")
    return [row for row in rows if row["sessionId"] == sidecar.session_id]


def failures(admin: Caller, sidecar: Sidecar) -> list[dict[str, Any]]:
    """Return of the session what the application did not take."""
    found: list[dict[str, Any]] = admin.query("sidecar:failedCallbacksInternal")
    return [one for one in found if one["sessionId"] == sidecar.session_id]


def test_the_application_follows_every_change(server: ConvexServer, admin: Caller) -> None:
    """With the whole document, and the totals; null once the scene was deleted."""
    sidecar = Deployed(admin, sidecar_id="a", session_id="p/follow")
    sidecar.apply(put(), facts(complete=False, owed=1))
    eventually("it has begun", lambda: bool(told(server, sidecar)))
    server.control("settle", {})
    sidecar.apply(put(content="B"), facts())
    server.control("settle", {})
    last = told(server, sidecar)[-1]
    assert (last["assetsStatus"], last["assetVersion"]) == ("ready", 2)
    assert last["videoAsset"]["checksum"] == "crc64nvme:B"
    admin.mutation("scenes:remove", sessionId=sidecar.session_id, sceneId="intro")
    server.control("settle", {})
    assert told(server, sidecar)[-1]["gone"] is True
    counts = [row["assetCount"] for row in server.table("courses") if row["sessionId"] == sidecar.session_id]
    assert (counts[0], counts[-1]) == (1, 0)
    assert notices(server, sidecar) == []


def test_a_callback_that_fails_is_shown_and_tried_again_and_stops_nothing(
    server: ConvexServer, admin: Caller
) -> None:
    """What it wrote before it threw is rolled back, and the sidecar's call is not."""
    sidecar = Deployed(admin, sidecar_id="b", session_id="p/fail")
    admin.mutation("lessons:fail", sceneId="intro")
    assert sidecar.outcomes(put(), facts()) == ["applied", "applied"]

    eventually("it was tried again", lambda: any(one["attempts"] >= 2 for one in failures(admin, sidecar)))
    [failure] = failures(admin, sidecar)
    assert "no lesson for intro" in failure["error"]
    assert told(server, sidecar) == []
    assert sidecar.outcomes(put("b.mp4")) == ["applied"]
    assert admin.query("scenes:get", sessionId=sidecar.session_id, sceneId="intro")["assetsStatus"] == "ready"
    admin.mutation("lessons:mend")
    eventually("it is told", lambda: bool(told(server, sidecar)) and failures(admin, sidecar) == [])
    assert told(server, sidecar)[-1]["assetsStatus"] == "ready"


def test_the_second_try_of_a_call_that_succeeded_disturbs_no_later_change(
    server: ConvexServer, admin: Caller
) -> None:
    """It is of its own notice: the next one, whose call is still to come, is no failure."""
    sidecar = Deployed(admin, sidecar_id="e", session_id="p/second")
    sidecar.apply(put())
    eventually("it was told", lambda: bool(told(server, sidecar)) and notices(server, sidecar) == [])
    admin.inside("testing:begin", sessionId=sidecar.session_id, sceneId="intro")
    server.control("settle", {})
    assert {job["state"]["kind"] for job in tries(server)} == {"success"}
    (notice,) = notices(server, sidecar)
    assert (notice["attempts"], "failedAt" in notice) == (0, False)
    assert len(told(server, sidecar)) == 1


def tries(server: ConvexServer) -> list[dict[str, Any]]:
    """Return the jobs that look whether a call came to its end."""
    jobs = server.table(f"{COMPONENT}/_scheduled_functions")
    return [job for job in jobs if job["name"] == "lib/callbacks.js:again"]


def test_a_session_is_told_once_for_all_its_writers(server: ConvexServer, admin: Caller) -> None:
    """Also where the call fails: one failure is left of it, which goes once the application takes it."""
    sidecar = Deployed(admin, sidecar_id="f", session_id="p/many")
    sidecar.apply(put())

    def counted() -> int:
        return len([row for row in server.table("courses") if row["sessionId"] == sidecar.session_id])

    eventually("it was told", lambda: counted() == 1 and notices(server, sidecar) == [])
    admin.inside("testing:change", sessionId=sidecar.session_id, writers=20)
    eventually("it was told again", lambda: notices(server, sidecar) == [])
    assert counted() == 2
    admin.mutation("lessons:fail", sceneId=sidecar.session_id)
    admin.inside("testing:change", sessionId=sidecar.session_id, writers=20)
    eventually("it was tried again", lambda: any(one["attempts"] for one in failures(admin, sidecar)))
    assert ["no course" in one["error"] for one in failures(admin, sidecar)] == [True]
    assert len(notices(server, sidecar)) == 1
    admin.mutation("lessons:mend")
    eventually("it is told", lambda: notices(server, sidecar) == [])
    assert counted() == 3


def test_what_time_changes_is_told_too(server: ConvexServer, admin: Caller) -> None:
    """A sidecar that is gone: nobody writes, and the scene shows since when it waits."""
    sidecar = Deployed(admin, sidecar_id="c", session_id="p/gone")
    sidecar.apply(put(), facts(complete=False, owed=1))
    eventually(
        "it is stalled", lambda: any("stalledSince" in row for row in told(server, sidecar)), seconds=60
    )


def test_an_emptied_scene_is_told(server: ConvexServer, admin: Caller) -> None:
    """The document is there, and shows nothing."""
    sidecar = Deployed(admin, sidecar_id="d", session_id="p/empty")
    sidecar.apply(put())
    server.control("settle", {})
    sidecar.apply(remove())
    server.control("settle", {})
    last = told(server, sidecar)[-1]
    assert ("videoAsset" in last, last["assetsStatus"], last["gone"]) == (False, "pending", False)


def test_a_backend_sees_its_own_failures_however_many_others_have(
    server: ConvexServer, admin: Caller
) -> None:
    """The oldest first, over its projects; who may see all sees the oldest hundred."""
    for project_id, count, failed_at in (("other", 150, 1000), ("lab", 2, 5000), ("q", 1, 4999)):
        admin.inside("testing:failures", projectId=project_id, count=count, failedAt=failed_at)
    with Caller(server.url, f"Bearer {LAB.token('backend')}") as lab:
        found = lab.query("sidecar:failedCallbacks")
    assert [one["sessionId"] for one in found] == ["q", "lab", "lab"]
    everybodys = admin.query("sidecar:failedCallbacksInternal")
    assert [one["failedAt"] for one in everybodys] == list(range(1000, 1100))
    for project_id in ("other", "lab", "q"):
        admin.inside("testing:failures", projectId=project_id, count=0, failedAt=0)

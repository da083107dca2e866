/** Scenes for players and editors. */
import { v } from "convex/values";
import { mutation, query } from "./_generated/server";
import { deleteScene } from "./lib/deletion";
import { ensureScene } from "./lib/ensuring";
import { fail } from "./lib/errors";
import { pageArgs, pageOf } from "./lib/pages";
import { versionByName, versionName } from "./lib/identity";
import { sceneRow } from "./lib/rows";
import { listedScene, pageOfShape, pastVersion, scene } from "./lib/shapes";
import { toListedScene, toPastVersion, toScene } from "./lib/views";

const SCENES_MAX = 1000;
const sceneArgs = { sessionId: v.string(), sceneId: v.string() };

/** Null for a scene that is not there. */
export const get = query({
  args: sceneArgs,
  returns: v.union(v.null(), scene),
  handler: async (ctx, { sessionId, sceneId }) => {
    const row = await sceneRow(ctx, sessionId, sceneId);
    return row && toScene(row);
  },
});

/** In natural order (scene-2 before scene-10), without their history. */
export const bySession = query({
  args: { sessionId: v.string(), ...pageArgs },
  returns: pageOfShape(listedScene),
  handler: async (ctx, { sessionId, ...asked }) => {
    const found = await pageOf(
      {
        read: (narrow) => ctx.db.query("scenes").withIndex("by_order", (q) => narrow(q.eq("sessionId", sessionId))),
        key: ["sortKey", "sceneId"],
      },
      asked,
    );
    return { ...found, page: found.page.map(toListedScene) };
  },
});

/** All scenes of a session by their ids, with their history. Throws TOO_MANY for more than 1,000. */
export const all = query({
  args: { sessionId: v.string() },
  returns: v.array(scene),
  handler: async (ctx, { sessionId }) => {
    const rows = await ctx.db
      .query("scenes")
      .withIndex("by_session", (q) => q.eq("sessionId", sessionId))
      .take(SCENES_MAX + 1);
    if (rows.length > SCENES_MAX) fail("TOO_MANY", `more than ${SCENES_MAX} scenes: ask with paginationOpts`);
    return rows.map(toScene);
  },
});

/** Every version that a slot of the scene ever held, by type and name, the newest of each first. */
export const history = query({
  args: { ...sceneArgs, ...pageArgs },
  returns: pageOfShape(pastVersion),
  handler: async (ctx, { sessionId, sceneId, ...asked }) => {
    if ((await sceneRow(ctx, sessionId, sceneId)) === null) return { page: [], isDone: true, continueCursor: "" };
    const found = await pageOf(
      {
        read: (narrow) =>
          ctx.db
            .query("assetVersions")
            .withIndex("by_slot", (q) =>
              narrow(q.eq("sessionId", sessionId).eq("entityType", "scene").eq("entityId", sceneId)),
            ),
        key: ["assetType", "name", "version"],
        order: "desc",
        name: {
          of: (row) => versionName(row),
          find: async (name) => {
            const row = await versionByName(ctx, name);
            return row?.sessionId === sessionId && row.entityType === "scene" && row.entityId === sceneId ? row : null;
          },
        },
      },
      asked,
    );
    return { ...found, page: await Promise.all(found.page.map(toPastVersion)) };
  },
});

/** Makes a scene, if it is not there; see lib/ensuring.ts. */
export const ensure = mutation({
  args: { ...sceneArgs, projectId: v.string(), ownerId: v.optional(v.string()) },
  returns: v.null(),
  handler: async (ctx, args) => {
    await ensureScene(ctx, args);
    return null;
  },
});

/** Deletes a scene for good: a tombstone refuses whatever a sidecar still sends for it. */
export const remove = mutation({
  args: sceneArgs,
  returns: v.null(),
  handler: async (ctx, { sessionId, sceneId }) => {
    await deleteScene(ctx, sessionId, sceneId);
    return null;
  },
});

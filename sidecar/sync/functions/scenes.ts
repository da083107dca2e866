/** Scenes for players and editors, reactive. */
import { v } from "convex/values";
import type { Doc } from "./_generated/dataModel";
import { internalMutation, query } from "./_generated/server";
import { readableSession } from "./sidecarLib/access";
import { deleteScene } from "./sidecarLib/deletion";
import { defined } from "./sidecarLib/optional";
import { sceneRow } from "./sidecarLib/rows";
import { sceneFields } from "./sidecarLib/shapes";

const SCENES_MAX = 1000;
const scene = v.object({ _id: v.id("scenes"), _creationTime: v.number(), ...sceneFields });

/** Null for a scene that is not there, or that canReadSession refuses. */
export const get = query({
  args: { sessionId: v.string(), sceneId: v.string() },
  returns: v.union(v.null(), scene),
  handler: async (ctx, { sessionId, sceneId }) => {
    if ((await readableSession(ctx, sessionId)) === null) return null;
    const row = await sceneRow(ctx, sessionId, sceneId);
    return row && toScene(row);
  },
});

/** All scenes of a session by their id, at most 1,000. */
export const bySession = query({
  args: { sessionId: v.string() },
  returns: v.array(scene),
  handler: async (ctx, { sessionId }) => {
    if ((await readableSession(ctx, sessionId)) === null) return [];
    const rows = await ctx.db
      .query("scenes")
      .withIndex("by_session", (q) => q.eq("sessionId", sessionId))
      .take(SCENES_MAX);
    return rows.map(toScene);
  },
});

/** Deletes a scene for good: a tombstone refuses whatever a sidecar still sends for it. */
export const remove = internalMutation({
  args: { sessionId: v.string(), sceneId: v.string() },
  returns: v.null(),
  handler: async (ctx, { sessionId, sceneId }) => {
    await deleteScene(ctx, sessionId, sceneId);
    return null;
  },
});

/** The contract's fields: a table that you have given more keeps them to itself. */
function toScene(row: Doc<"scenes">) {
  const { _id, _creationTime, sessionId, projectId, sceneId, ownerId } = row;
  const { videoAsset, sourceCodeAsset, thumbnailAsset, subtitleAsset } = row;
  const { assetsStatus, assetsErrorMessage, assetVersion, previousAssetVersions, updatedAt } = row;
  return defined({
    ...{ _id, _creationTime, sessionId, projectId, sceneId, ownerId },
    ...{ videoAsset, sourceCodeAsset, thumbnailAsset, subtitleAsset },
    ...{ assetsStatus, assetsErrorMessage, assetVersion, previousAssetVersions, updatedAt },
  });
}

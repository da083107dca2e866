/** Deleting a scene: its tombstone first, then its rows, a bounded number at a time. */
import { v } from "convex/values";
import { internal } from "../_generated/api";
import type { Doc } from "../_generated/dataModel";
import { internalMutation, type MutationCtx } from "../_generated/server";
import { notify } from "./callbacks";
import { addTo, BASE, contribution, nothing, plus } from "./totals";

const ROWS_PER_STEP = 200;

/** For your own mutations too. The objects stay in S3 until retention removes them. */
export async function deleteScene(ctx: MutationCtx, sessionId: string, sceneId: string): Promise<void> {
  const tombstone = await tombstoneOf(ctx, sessionId, sceneId);
  const deletedAt = Date.now();
  if (tombstone === null) await ctx.db.insert("deletedScenes", { sessionId, sceneId, deletedAt });
  else await ctx.db.replace("deletedScenes", tombstone._id, { sessionId, sceneId, deletedAt });
  const scenes = await ctx.db
    .query("scenes")
    .withIndex("by_session", (q) => q.eq("sessionId", sessionId).eq("sceneId", sceneId))
    .take(ROWS_PER_STEP); // the application may have made more than one
  for (const scene of scenes) await ctx.db.delete("scenes", scene._id);
  const totals = await ctx.db
    .query("entityTotals")
    .withIndex("by_entity", (q) =>
      q.eq("sessionId", sessionId).eq("entityType", "scene").eq("entityId", sceneId),
    )
    .unique();
  if (totals !== null) {
    await ctx.db.delete("entityTotals", totals._id);
    if (totals.counted) {
      await addTo(ctx, { sessionId, producer: BASE }, plus(nothing(), contribution(totals), -1));
    }
  }
  await notify(ctx, { sessionId, entityType: "scene", entityId: sceneId }, BASE);
  await notify(ctx, { sessionId, entityType: "session", entityId: sessionId }, BASE);
  await ctx.scheduler.runAfter(0, internal.lib.deletion.purge, { sessionId, sceneId });
}

/**
 * One step; schedules the next while rows are left. Versions stay: they name the objects. A scene that was made again
 * in the meantime keeps what it has since.
 */
export const purge = internalMutation({
  args: { sessionId: v.string(), sceneId: v.string() },
  returns: v.null(),
  handler: async (ctx, { sessionId, sceneId }) => {
    const tombstone = await tombstoneOf(ctx, sessionId, sceneId);
    if (tombstone === null || tombstone.purgedAt !== undefined) return null;
    const assets = await ctx.db
      .query("assets")
      .withIndex("by_slot", (q) =>
        q.eq("sessionId", sessionId).eq("entityType", "scene").eq("entityId", sceneId),
      )
      .take(ROWS_PER_STEP);
    const facts = await ctx.db
      .query("sceneFacts")
      .withIndex("by_scene", (q) => q.eq("sessionId", sessionId).eq("sceneId", sceneId))
      .take(ROWS_PER_STEP);
    for (const row of assets) await ctx.db.delete("assets", row._id);
    for (const row of facts) await ctx.db.delete("sceneFacts", row._id);
    if (assets.length === ROWS_PER_STEP || facts.length === ROWS_PER_STEP) {
      await ctx.scheduler.runAfter(0, internal.lib.deletion.purge, { sessionId, sceneId });
      return null;
    }
    await ctx.db.patch("deletedScenes", tombstone._id, { purgedAt: Date.now() });
    return null;
  },
});

export async function tombstoneOf(
  ctx: Pick<MutationCtx, "db">,
  sessionId: string,
  sceneId: string,
): Promise<Doc<"deletedScenes"> | null> {
  return await ctx.db
    .query("deletedScenes")
    .withIndex("by_scene", (q) => q.eq("sessionId", sessionId).eq("sceneId", sceneId))
    .unique();
}

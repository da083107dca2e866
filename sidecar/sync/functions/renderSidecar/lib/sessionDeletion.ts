/** Deleting a session: its tombstone first, which refuses whatever still comes, then its rows, a bounded number at a time. */
import { v } from "convex/values";
import { internal } from "../_generated/api";
import { internalMutation, type MutationCtx } from "../_generated/server";
import { notify } from "./callbacks";
import { sessionTombstone } from "./rows";
import { BASE } from "./totals";

const ROWS_PER_STEP = 100;

/**
 * For good, until the application makes it again. The objects stay in S3 until retention removes them: versions stay,
 * and name them. A deletion that is under way is begun again, one that is over changes nothing.
 */
export async function deleteSession(ctx: MutationCtx, sessionId: string): Promise<void> {
  const tombstone = await sessionTombstone(ctx, sessionId);
  if (tombstone?.purgedAt !== undefined) return;
  if (tombstone === null) await ctx.db.insert("deletedSessions", { sessionId, deletedAt: Date.now() });
  await deleteDocuments(ctx, sessionId);
  await notify(ctx, { sessionId, entityType: "session", entityId: sessionId }, BASE);
  await ctx.scheduler.runAfter(0, internal.lib.sessionDeletion.purge, { sessionId });
}

/** One step; schedules the next while rows are left. */
export const purge = internalMutation({
  args: { sessionId: v.string() },
  returns: v.null(),
  handler: async (ctx, { sessionId }) => {
    const tombstone = await sessionTombstone(ctx, sessionId);
    if (tombstone === null || tombstone.purgedAt !== undefined) return null;
    if (await deleteRows(ctx, sessionId)) {
      await ctx.scheduler.runAfter(0, internal.lib.sessionDeletion.purge, { sessionId });
      return null;
    }
    await ctx.db.patch("deletedSessions", tombstone._id, { purgedAt: Date.now() });
    return null;
  },
});

/** True while more may be left. Scenes go first: none is shown without what it had. */
async function deleteRows(ctx: MutationCtx, sessionId: string): Promise<boolean> {
  const { db } = ctx;
  const scenes = await db.query("scenes").withIndex("by_session", (q) => q.eq("sessionId", sessionId)).take(ROWS_PER_STEP);
  for (const { _id, sceneId } of scenes) {
    await db.delete("scenes", _id);
    await notify(ctx, { sessionId, entityType: "scene", entityId: sceneId }, BASE);
  }
  if (scenes.length > 0) return true;
  const documents = await deleteDocuments(ctx, sessionId);
  const assets = await db.query("assets").withIndex("by_slot", (q) => q.eq("sessionId", sessionId)).take(ROWS_PER_STEP);
  for (const row of assets) await db.delete("assets", row._id);
  const facts = await db.query("sceneFacts").withIndex("by_scene", (q) => q.eq("sessionId", sessionId)).take(ROWS_PER_STEP);
  for (const row of facts) await db.delete("sceneFacts", row._id);
  const totals = await db.query("entityTotals").withIndex("by_entity", (q) => q.eq("sessionId", sessionId)).take(ROWS_PER_STEP);
  for (const row of totals) await db.delete("entityTotals", row._id);
  const counters = await db.query("sidecarCounters").withIndex("by_session", (q) => q.eq("sessionId", sessionId)).take(ROWS_PER_STEP);
  for (const row of counters) await db.delete("sidecarCounters", row._id);
  return documents + assets.length + facts.length + totals.length + counters.length > 0;
}

/** How many there were: the application may have made more than one. */
async function deleteDocuments(ctx: MutationCtx, sessionId: string): Promise<number> {
  const documents = await ctx.db
    .query("videoSessions")
    .withIndex("by_session", (q) => q.eq("sessionId", sessionId))
    .take(ROWS_PER_STEP);
  for (const row of documents) await ctx.db.delete("videoSessions", row._id);
  return documents.length;
}

/** Deletions of sessions, before the rows go back to tables that know of none. */
import { internal } from "../_generated/api";
import type { Doc } from "../_generated/dataModel";
import type { MutationCtx } from "../_generated/server";
import { tombstoneOf } from "./deletion";
import { ROWS_PER_STEP } from "./moving";

/**
 * One step; true while more is left. Each deletion comes to its end, and every scene of which a version tells gets a
 * tombstone of its own: what a sidecar still sends for it is refused there, too.
 */
export async function endDeletions(ctx: MutationCtx): Promise<boolean> {
  const tombstones = await ctx.db
    .query("deletedSessions")
    .withIndex("by_state", (q) => q.eq("buried", undefined))
    .take(ROWS_PER_STEP);
  let left = ROWS_PER_STEP;
  for (const tombstone of tombstones) {
    if (tombstone.purgedAt === undefined) await startPurge(ctx, tombstone);
    else if (left > 0) left = await buryScenes(ctx, tombstone, left);
  }
  return tombstones.length > 0;
}

/** Begins again what was killed, or cancelled. */
export async function resumeDeletions(ctx: MutationCtx): Promise<void> {
  const open = ctx.db
    .query("deletedSessions")
    .withIndex("by_state", (q) => q.eq("buried", undefined).eq("purgedAt", undefined));
  for (const tombstone of await open.take(ROWS_PER_STEP)) await startPurge(ctx, tombstone);
}

async function startPurge(ctx: MutationCtx, { sessionId }: Doc<"deletedSessions">): Promise<void> {
  await ctx.scheduler.runAfter(0, internal.lib.sessionDeletion.purge, { sessionId });
}

/** At most so many scenes; returns how many more this step may bury. */
async function buryScenes(ctx: MutationCtx, tombstone: Doc<"deletedSessions">, most: number): Promise<number> {
  let buriedTo = tombstone.buriedTo ?? "";
  for (let left = most; left > 0; left -= 1) {
    const sceneId = await sceneAfter(ctx, tombstone.sessionId, buriedTo);
    if (sceneId === null) {
      await ctx.db.patch("deletedSessions", tombstone._id, { buried: true });
      return left;
    }
    await buryScene(ctx, tombstone, sceneId);
    buriedTo = sceneId;
  }
  await ctx.db.patch("deletedSessions", tombstone._id, { buriedTo });
  return 0;
}

/** The next scene of the session that ever had an asset. */
async function sceneAfter(ctx: MutationCtx, sessionId: string, sceneId: string): Promise<string | null> {
  const row = await ctx.db
    .query("assetVersions")
    .withIndex("by_slot", (q) => q.eq("sessionId", sessionId).eq("entityType", "scene").gt("entityId", sceneId))
    .first();
  return row?.entityId ?? null;
}

async function buryScene(ctx: MutationCtx, tombstone: Doc<"deletedSessions">, sceneId: string): Promise<void> {
  const { sessionId, deletedAt, purgedAt = deletedAt } = tombstone;
  if ((await tombstoneOf(ctx, sessionId, sceneId)) !== null) return;
  await ctx.db.insert("deletedScenes", { sessionId, sceneId, deletedAt, purgedAt });
}

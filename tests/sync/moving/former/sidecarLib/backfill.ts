/** Rows of earlier versions are brought up to date, a bounded number at a time, once a sidecar starts or is heard. */
import { v } from "convex/values";
import { internal } from "../_generated/api";
import { internalMutation, type MutationCtx } from "../_generated/server";
import { slotDigest } from "./identity";
import { SILENCE_MS } from "./liveness";
import { naturalKey } from "./order";
import { sessionRow } from "./rows";
import { addTo, BASE, contribution } from "./totals";

const ROWS_PER_STEP = 100;

type Rows = Awaited<ReturnType<typeof oldRows>>;

/** Begins the migration, if there is anything to be migrated. */
export async function startBackfill(ctx: MutationCtx): Promise<void> {
  if (countOf(await oldRows(ctx, 1)) > 0) await ctx.scheduler.runAfter(0, internal.sidecarLib.backfill.step, {});
}

/** One step; schedules the next while rows are left. Several at once do no harm. */
export const step = internalMutation({
  args: {},
  returns: v.null(),
  handler: async (ctx) => {
    const rows = await oldRows(ctx, ROWS_PER_STEP);
    await giveNames(ctx, rows);
    await count(ctx, rows);
    await giveHeartbeats(ctx, rows);
    if (countOf(rows) > 0) await ctx.scheduler.runAfter(0, internal.sidecarLib.backfill.step, {});
    return null;
  },
});

async function oldRows(ctx: MutationCtx, most: number) {
  const { db } = ctx;
  return {
    assets: await db.query("assets").withIndex("by_asset", (q) => q.eq("assetId", undefined)).take(most),
    versions: await db.query("assetVersions").withIndex("by_asset", (q) => q.eq("assetId", undefined)).take(most),
    scenes: await db.query("scenes").withIndex("by_sort_key", (q) => q.eq("sortKey", undefined)).take(most),
    totals: await db.query("entityTotals").withIndex("by_counted", (q) => q.eq("counted", undefined)).take(most),
    epochs: await db.query("sidecarEpochs").withIndex("by_seen", (q) => q.gt("lastSeenAt", 0)).order("desc").take(most),
  };
}

const countOf = (rows: Rows) => Object.values(rows).reduce((count, of) => count + of.length, 0);

async function giveNames(ctx: MutationCtx, { assets, versions, scenes }: Rows): Promise<void> {
  for (const row of assets) await ctx.db.patch("assets", row._id, { assetId: await slotDigest(row) });
  for (const row of versions) await ctx.db.patch("assetVersions", row._id, { assetId: await slotDigest(row) });
  for (const row of scenes) await ctx.db.patch("scenes", row._id, { sortKey: naturalKey(row.sceneId) });
}

/** Into the base row of each session, whose document no longer keeps totals. */
async function count(ctx: MutationCtx, { totals }: Rows): Promise<void> {
  for (const row of totals) {
    await addTo(ctx, { sessionId: row.sessionId, producer: BASE }, contribution(row));
    await ctx.db.patch("entityTotals", row._id, { counted: true });
  }
  for (const sessionId of new Set(totals.map((row) => row.sessionId))) {
    const session = await sessionRow(ctx, sessionId);
    if (session?.assetCount === undefined) continue;
    const none = { totalAssetSize: undefined, assetCount: undefined, sceneCount: undefined, readyCount: undefined };
    await ctx.db.patch("videoSessions", session._id, { ...none, assetsStatus: undefined });
  }
}

/** The latest sign of life of each sidecar: its epochs come with the newest first. */
async function giveHeartbeats(ctx: MutationCtx, { epochs }: Rows): Promise<void> {
  for (const { _id, producer, lastSeenAt } of epochs) {
    await ctx.db.patch("sidecarEpochs", _id, { lastSeenAt: undefined });
    const known = await ctx.db
      .query("sidecarHeartbeats")
      .withIndex("by_producer", (q) => q.eq("producer", producer))
      .first();
    if (known !== null || lastSeenAt === undefined) continue;
    await ctx.db.insert("sidecarHeartbeats", { producer, seenAt: lastSeenAt });
    await ctx.scheduler.runAfter(SILENCE_MS, internal.sidecarLib.liveness.watch, { producer });
  }
}

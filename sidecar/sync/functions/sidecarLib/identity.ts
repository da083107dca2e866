/** An asset's identity: its slot's digest. A sidecar knows it before Convex does, and no migration changes it. */
import { v } from "convex/values";
import { internal } from "../_generated/api";
import type { Doc } from "../_generated/dataModel";
import { internalMutation, type MutationCtx, type QueryCtx } from "../_generated/server";
import { naturalKey } from "./order";
import type { Slot } from "./shapes";

const ROWS_PER_STEP = 100;

/** base64url of the SHA-256 of the slot's five fields as a JSON array: what its objects carry as `slot`, too. */
export async function slotDigest(slot: Slot): Promise<string> {
  const { sessionId, entityType, entityId, assetType, name } = slot;
  const text = JSON.stringify([sessionId, entityType, entityId, assetType, name]);
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  const base64 = btoa(String.fromCharCode(...new Uint8Array(digest)));
  return base64.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** Of a row, also of one that was written before rows kept it. */
export async function assetIdOf(row: Slot & { assetId?: string }): Promise<string> {
  return row.assetId ?? (await slotDigest(row));
}

/** The row of an asset's current version. */
export async function assetById(ctx: Pick<QueryCtx, "db">, assetId: string): Promise<Doc<"assets"> | null> {
  return await ctx.db
    .query("assets")
    .withIndex("by_asset", (q) => q.eq("assetId", assetId))
    .first();
}

/** Begins the migration of rows that lack their identity or their place in natural order, if there are any. */
export async function startBackfill(ctx: MutationCtx): Promise<void> {
  const some = [await unnamedAssets(ctx, 1), await unnamedVersions(ctx, 1), await unsortedScenes(ctx, 1)];
  if (some.every((rows) => rows.length === 0)) return;
  await ctx.scheduler.runAfter(0, internal.sidecarLib.identity.backfill, {});
}

/** One step; schedules the next while rows are left. Several at once do no harm. */
export const backfill = internalMutation({
  args: {},
  returns: v.null(),
  handler: async (ctx) => {
    const assets = await unnamedAssets(ctx, ROWS_PER_STEP);
    const versions = await unnamedVersions(ctx, ROWS_PER_STEP);
    const scenes = await unsortedScenes(ctx, ROWS_PER_STEP);
    for (const row of assets) await ctx.db.patch("assets", row._id, { assetId: await slotDigest(row) });
    for (const row of versions) await ctx.db.patch("assetVersions", row._id, { assetId: await slotDigest(row) });
    for (const row of scenes) await ctx.db.patch("scenes", row._id, { sortKey: naturalKey(row.sceneId) });
    if (assets.length + versions.length + scenes.length > 0) {
      await ctx.scheduler.runAfter(0, internal.sidecarLib.identity.backfill, {});
    }
    return null;
  },
});

async function unnamedAssets(ctx: MutationCtx, most: number) {
  return await ctx.db
    .query("assets")
    .withIndex("by_asset", (q) => q.eq("assetId", undefined))
    .take(most);
}

async function unnamedVersions(ctx: MutationCtx, most: number) {
  return await ctx.db
    .query("assetVersions")
    .withIndex("by_asset", (q) => q.eq("assetId", undefined))
    .take(most);
}

async function unsortedScenes(ctx: MutationCtx, most: number) {
  return await ctx.db
    .query("scenes")
    .withIndex("by_sort_key", (q) => q.eq("sortKey", undefined))
    .take(most);
}

/** An asset's identity: its slot's digest. A sidecar knows it before Convex does, and no migration changes it. */
import type { Doc } from "../_generated/dataModel";
import type { QueryCtx } from "../_generated/server";
import type { Slot } from "./shapes";

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

/** A version's name: its asset's id tells nobody what the asset is called. */
export async function versionName(row: Doc<"assetVersions">): Promise<string> {
  return `${await assetIdOf(row)}.${row.version}`;
}

export async function versionByName(ctx: Pick<QueryCtx, "db">, name: string): Promise<Doc<"assetVersions"> | null> {
  const [assetId, version] = name.split(".");
  return await ctx.db
    .query("assetVersions")
    .withIndex("by_asset", (q) => q.eq("assetId", assetId).eq("version", Number(version)))
    .first();
}

/** The row of an asset's current version. */
export async function assetById(ctx: Pick<QueryCtx, "db">, assetId: string): Promise<Doc<"assets"> | null> {
  return await ctx.db
    .query("assets")
    .withIndex("by_asset", (q) => q.eq("assetId", assetId))
    .first();
}

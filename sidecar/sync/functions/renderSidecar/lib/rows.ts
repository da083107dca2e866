/** Reading and shaping rows, in one place for writers and readers. */
import type { Doc } from "../_generated/dataModel";
import type { QueryCtx } from "../_generated/server";
import { defined } from "./optional";
import type { AssetType, EntityType, S3Asset, Slot } from "./shapes";

type Db = Pick<QueryCtx, "db">;

/** Only the S3Asset of a row that holds more. */
export function toS3Asset(row: S3Asset): S3Asset {
  const { s3Key, s3Url, bucket, contentType, size, checksum, etag, s3VersionId, uploadedAt } = row;
  const { duration, width, height, frameRate, codec } = row;
  return defined({
    ...{ s3Key, s3Url, bucket, contentType, size, checksum, etag, s3VersionId, uploadedAt },
    ...{ duration, width, height, frameRate, codec },
  });
}

/** What a slot holds now. */
export async function assetRow(ctx: Db, slot: Slot): Promise<Doc<"assets"> | null> {
  return await ctx.db
    .query("assets")
    .withIndex("by_slot", (q) =>
      q
        .eq("sessionId", slot.sessionId)
        .eq("entityType", slot.entityType)
        .eq("entityId", slot.entityId)
        .eq("assetType", slot.assetType)
        .eq("name", slot.name),
    )
    .unique();
}

/** The highest version that a slot ever held, 0 for a new one: a removed asset's numbers are not used again. */
export async function lastVersion(ctx: Db, slot: Slot): Promise<number> {
  const row = await ctx.db
    .query("assetVersions")
    .withIndex("by_slot", (q) =>
      q
        .eq("sessionId", slot.sessionId)
        .eq("entityType", slot.entityType)
        .eq("entityId", slot.entityId)
        .eq("assetType", slot.assetType)
        .eq("name", slot.name),
    )
    .order("desc")
    .first();
  return row?.version ?? 0;
}

/** A version of a slot, or null. */
export async function versionRow(
  ctx: Db,
  slot: Slot,
  version: number,
): Promise<Doc<"assetVersions"> | null> {
  return await ctx.db
    .query("assetVersions")
    .withIndex("by_slot", (q) =>
      q
        .eq("sessionId", slot.sessionId)
        .eq("entityType", slot.entityType)
        .eq("entityId", slot.entityId)
        .eq("assetType", slot.assetType)
        .eq("name", slot.name)
        .eq("version", version),
    )
    .unique();
}

/** A slot's newest versions up to one of them. */
export async function versionsUpTo(
  ctx: Db,
  slot: Slot & { version: number },
  most: number,
): Promise<Doc<"assetVersions">[]> {
  return await ctx.db
    .query("assetVersions")
    .withIndex("by_slot", (q) =>
      q
        .eq("sessionId", slot.sessionId)
        .eq("entityType", slot.entityType)
        .eq("entityId", slot.entityId)
        .eq("assetType", slot.assetType)
        .eq("name", slot.name)
        .lte("version", slot.version),
    )
    .order("desc")
    .take(most);
}

/** Whether a name is that of a fragment, or of what a player reads before the first one: nobody plays it alone. */
export function isSegment(name: string): boolean {
  return /(\.m4s|(^|\/)init([^a-z][^/]*)?\.mp4)$/i.test(name);
}

/**
 * The one asset of a type that its entity's document shows: role main, else the lowest index, else the first name;
 * a segment only where there is nothing else.
 */
export async function chosenAsset(
  ctx: Db,
  of: { sessionId: string; entityType: EntityType; entityId: string },
  assetType: AssetType,
): Promise<Doc<"assets"> | null> {
  return await ctx.db
    .query("assets")
    .withIndex("by_choice", (q) =>
      q
        .eq("sessionId", of.sessionId)
        .eq("entityType", of.entityType)
        .eq("entityId", of.entityId)
        .eq("assetType", assetType),
    )
    .first();
}

/** The first one, as of a session: the application writes this table too, and may have made two. */
export async function sceneRow(ctx: Db, sessionId: string, sceneId: string): Promise<Doc<"scenes"> | null> {
  return await ctx.db
    .query("scenes")
    .withIndex("by_session", (q) => q.eq("sessionId", sessionId).eq("sceneId", sceneId))
    .first();
}

export async function sessionRow(ctx: Db, sessionId: string): Promise<Doc<"videoSessions"> | null> {
  return await ctx.db
    .query("videoSessions")
    .withIndex("by_session", (q) => q.eq("sessionId", sessionId))
    .first();
}

/** Whether a scene was deleted, or its session: its rows may still be there for a moment. */
export async function isDeleted(ctx: Db, sessionId: string, sceneId: string): Promise<boolean> {
  const tombstone = await ctx.db
    .query("deletedScenes")
    .withIndex("by_scene", (q) => q.eq("sessionId", sessionId).eq("sceneId", sceneId))
    .unique();
  return tombstone !== null || (await sessionTombstone(ctx, sessionId)) !== null;
}

/** What is left of a session that was deleted. */
export async function sessionTombstone(ctx: Db, sessionId: string): Promise<Doc<"deletedSessions"> | null> {
  return await ctx.db
    .query("deletedSessions")
    .withIndex("by_session", (q) => q.eq("sessionId", sessionId))
    .unique();
}

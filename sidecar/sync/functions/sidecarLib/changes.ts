/** After the last op: each scene that was touched, the session, and their totals are written once. */
import type { Doc } from "../_generated/dataModel";
import type { MutationCtx } from "../_generated/server";
import type { Batch, Change } from "./batch";
import { newScene, newSession } from "./newDocuments";
import { chosenAsset, sceneRow, sessionRow } from "./rows";
import { scheduleRollup } from "./rollupQueue";
import type { AssetsStatus, AssetType, S3Asset } from "./shapes";
import { sceneStatus } from "./status";

export const PREVIOUS_MAX = 10;

const SCENE_FIELDS = {
  video_chunk: "videoAsset",
  source_code: "sourceCodeAsset",
  thumbnail: "thumbnailAsset",
  subtitle: "subtitleAsset",
} as const;
const SESSION_FIELDS = {
  combined_video: "combinedVideoAsset",
  subtitle: "combinedSubtitleAsset",
  manifest: "manifestAsset",
} as const;

type Fields = Partial<Record<AssetType, string>>;

export async function saveChanges(ctx: MutationCtx, batch: Batch): Promise<void> {
  if (batch.changes.size === 0) return;
  const session = await ensureSession(ctx, batch);
  for (const change of batch.changes.values()) {
    const status =
      change.entityType === "scene"
        ? await saveScene(ctx, batch, change)
        : await saveSession(ctx, batch, change, session);
    await saveTotals(ctx, batch, change, status);
  }
  await scheduleRollup(ctx, batch.sessionId);
}

/** A session's first asset makes its document; the application may have made it before. */
async function ensureSession(ctx: MutationCtx, batch: Batch): Promise<Doc<"videoSessions">> {
  const { sessionId, projectId } = batch;
  const claim = await ctx.db
    .query("sessionProjects")
    .withIndex("by_session", (q) => q.eq("sessionId", sessionId))
    .unique();
  if (claim === null) await ctx.db.insert("sessionProjects", { sessionId, projectId });
  const session = await sessionRow(ctx, sessionId);
  if (session !== null) return session;
  const id = await ctx.db.insert("videoSessions", newSession({ sessionId, projectId }));
  return (await ctx.db.get("videoSessions", id))!;
}

async function saveScene(ctx: MutationCtx, batch: Batch, change: Change): Promise<AssetsStatus> {
  const { sessionId, projectId, now } = batch;
  const sceneId = change.entityId;
  const scene = await sceneRow(ctx, sessionId, sceneId);
  const before = scene ?? newScene({ sessionId, projectId, sceneId });
  const fields = {
    ...(await chosenFields(ctx, batch, change, SCENE_FIELDS)),
    ...(await statusFields(ctx, batch, change, before.assetsStatus)),
    assetVersion: before.assetVersion + change.replaced.length,
    previousAssetVersions: [...before.previousAssetVersions, ...change.replaced].slice(-PREVIOUS_MAX),
    updatedAt: now,
  };
  if (scene === null) await ctx.db.insert("scenes", { ...before, ...fields });
  else await ctx.db.patch("scenes", scene._id, fields);
  return fields.assetsStatus;
}

/** Facts decide the status; assets alone only show that something has begun to come. */
async function statusFields(
  ctx: MutationCtx,
  batch: Batch,
  change: Change,
  before: AssetsStatus,
): Promise<{ assetsStatus: AssetsStatus; assetsErrorMessage?: string | undefined }> {
  if (change.factsChanged) return await sceneStatus(ctx, batch.sessionId, change.entityId, batch.now);
  return { assetsStatus: before === "pending" && change.assetTypes.size > 0 ? "uploading" : before };
}

async function saveSession(
  ctx: MutationCtx,
  batch: Batch,
  change: Change,
  session: Doc<"videoSessions">,
): Promise<"session"> {
  const fields = await chosenFields(ctx, batch, change, SESSION_FIELDS);
  await ctx.db.patch("videoSessions", session._id, { ...fields, updatedAt: batch.now });
  return "session";
}

/** For each touched type the asset that the document shows, undefined where none is left. */
async function chosenFields(
  ctx: MutationCtx,
  batch: Batch,
  change: Change,
  fields: Fields,
): Promise<Record<string, S3Asset | undefined>> {
  const chosen: Record<string, S3Asset | undefined> = {};
  const of = { sessionId: batch.sessionId, entityType: change.entityType, entityId: change.entityId };
  for (const assetType of change.assetTypes) {
    const field = fields[assetType];
    if (field !== undefined) chosen[field] = await chosenAsset(ctx, of, assetType);
  }
  return chosen;
}

async function saveTotals(
  ctx: MutationCtx,
  batch: Batch,
  change: Change,
  status: string,
): Promise<void> {
  const { entityType, entityId, bytes, count } = change;
  const key = { sessionId: batch.sessionId, entityType, entityId };
  const row = await ctx.db
    .query("entityTotals")
    .withIndex("by_entity", (q) =>
      q.eq("sessionId", key.sessionId).eq("entityType", entityType).eq("entityId", entityId),
    )
    .unique();
  if (row === null) await ctx.db.insert("entityTotals", { ...key, bytes, count, status });
  else if (bytes !== 0 || count !== 0 || row.status !== status) {
    await ctx.db.patch("entityTotals", row._id, { bytes: row.bytes + bytes, count: row.count + count, status });
  }
}

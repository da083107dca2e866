/** After the last op: each scene that was touched, the session, and their totals are written once. */
import type { Doc } from "../_generated/dataModel";
import type { MutationCtx } from "../_generated/server";
import type { Batch, Change } from "./batch";
import { notify } from "./callbacks";
import { newScene, newSession } from "./newDocuments";
import { chosenAsset, sceneRow, sessionRow, toS3Asset } from "./rows";
import { assetIdOf } from "./identity";
import { naturalKey } from "./order";
import { defined } from "./optional";
import { EMPTIED, type AssetsStatus, type AssetType, type ReplacedAsset, type ShownAsset } from "./shapes";
import { sceneStatus, type Status } from "./status";
import { addTo, contribution, isNothing, nothing, plus, type Sum } from "./totals";

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
  await ensureSession(ctx, batch);
  let delta = nothing();
  for (const change of batch.changes.values()) {
    const totals = await totalsOf(ctx, batch, change);
    const emptied = isEmptied(change, totals);
    const status =
      change.entityType === "scene"
        ? await saveScene(ctx, batch, change, emptied)
        : await saveSession(ctx, batch, change);
    const shown = emptied && status !== "error" ? EMPTIED : status;
    delta = plus(delta, await saveTotals(ctx, batch, change, { totals, status: shown }));
    if (change.entityType === "scene") await notify(ctx, { ...change, sessionId: batch.sessionId }, batch.producer);
  }
  await addTo(ctx, batch, delta);
  await notifySession(ctx, batch, delta);
}

async function notifySession(ctx: MutationCtx, { changes, sessionId, producer }: Batch, delta: Sum): Promise<void> {
  const isChanged = [...changes.values()].some((change) => change.entityType === "session");
  if (!isChanged && isNothing(delta)) return;
  await notify(ctx, { sessionId, entityType: "session", entityId: sessionId }, producer);
}

/**
 * A session's first asset makes its document; the application may have made it before. Later ones read only the
 * claim, which is written once: whatever the application does with its document disturbs no writer.
 */
async function ensureSession(ctx: MutationCtx, batch: Batch): Promise<void> {
  const { sessionId, projectId } = batch;
  const claim = await ctx.db
    .query("sessionProjects")
    .withIndex("by_session", (q) => q.eq("sessionId", sessionId))
    .unique();
  if (claim !== null) return;
  await ctx.db.insert("sessionProjects", { sessionId, projectId });
  if ((await sessionRow(ctx, sessionId)) === null) {
    await ctx.db.insert("videoSessions", newSession({ sessionId, projectId }));
  }
}

/** Had assets and has none any more, unlike one whose first is still to come. */
function isEmptied(change: Change, totals: Doc<"entityTotals"> | null): boolean {
  const left = (totals?.count ?? 0) + change.count;
  return left === 0 && (change.removed || totals?.status === EMPTIED);
}

async function saveScene(
  ctx: MutationCtx,
  batch: Batch,
  change: Change,
  emptied: boolean,
): Promise<AssetsStatus> {
  const { sessionId, projectId, now } = batch;
  const sceneId = change.entityId;
  const scene = await sceneRow(ctx, sessionId, sceneId);
  const before = scene ?? newScene({ sessionId, projectId, sceneId });
  const fields = {
    ...(await chosenFields(ctx, batch, change, SCENE_FIELDS)),
    ...(await statusFields(ctx, batch, change, { before: before.assetsStatus, emptied })),
    ...(change.expected === undefined ? {} : { expectedChunks: change.expected ?? undefined }),
    sortKey: naturalKey(sceneId),
    assetVersion: before.assetVersion + change.replaced.length,
    previousAssetVersions: [...before.previousAssetVersions.filter(isKept(change)), ...change.replaced].slice(-PREVIOUS_MAX),
    updatedAt: now,
  };
  if (scene === null) await ctx.db.insert("scenes", defined({ ...before, ...fields }));
  else await ctx.db.patch("scenes", scene._id, fields);
  return fields.assetsStatus;
}

function isKept({ forgotten }: Change): (asset: ReplacedAsset) => boolean {
  return ({ assetType, name, version }) =>
    !forgotten.some((one) => one.assetType === assetType && one.name === name && version <= one.version);
}

/**
 * Facts decide the status, and whether there is a video: one that comes or goes is looked at, and else the status stays.
 * A scene without any asset is pending again, unless something is wrong with it.
 */
async function statusFields(
  ctx: MutationCtx,
  batch: Batch,
  change: Change,
  { before, emptied }: { before: AssetsStatus; emptied: boolean },
): Promise<Partial<Status> & Pick<Status, "assetsStatus">> {
  if (emptied || change.factsChanged || change.removed || before === "pending") {
    const told = await sceneStatus(ctx, batch.sessionId, change.entityId);
    return emptied && told.assetsStatus !== "error" ? { ...told, assetsStatus: "pending" } : told;
  }
  return { assetsStatus: before };
}

async function saveSession(ctx: MutationCtx, batch: Batch, change: Change): Promise<"session"> {
  const { sessionId, projectId, now } = batch;
  const fields = { ...(await chosenFields(ctx, batch, change, SESSION_FIELDS)), updatedAt: now };
  const session = await sessionRow(ctx, sessionId);
  if (session !== null) await ctx.db.patch("videoSessions", session._id, fields);
  else await ctx.db.insert("videoSessions", defined({ ...newSession({ sessionId, projectId }), ...fields }));
  return "session";
}

/** For each touched type the asset that the document shows, undefined where none is left. */
async function chosenFields(
  ctx: MutationCtx,
  batch: Batch,
  change: Change,
  fields: Fields,
): Promise<Record<string, ShownAsset | undefined>> {
  const chosen: Record<string, ShownAsset | undefined> = {};
  const of = { sessionId: batch.sessionId, entityType: change.entityType, entityId: change.entityId };
  for (const assetType of change.assetTypes) {
    const field = fields[assetType];
    if (field === undefined) continue;
    const row = await chosenAsset(ctx, of, assetType);
    chosen[field] = row === null ? undefined : { ...toS3Asset(row), assetId: await assetIdOf(row), name: row.name };
  }
  return chosen;
}

async function totalsOf(
  ctx: MutationCtx,
  batch: Batch,
  { entityType, entityId }: Change,
): Promise<Doc<"entityTotals"> | null> {
  return await ctx.db
    .query("entityTotals")
    .withIndex("by_entity", (q) =>
      q.eq("sessionId", batch.sessionId).eq("entityType", entityType).eq("entityId", entityId),
    )
    .unique();
}

async function saveTotals(
  ctx: MutationCtx,
  batch: Batch,
  { entityType, entityId, bytes, count }: Change,
  { totals: row, status }: { totals: Doc<"entityTotals"> | null; status: string },
): Promise<Sum> {
  const before = row ?? { sessionId: batch.sessionId, entityType, entityId, bytes: 0, count: 0, status: EMPTIED };
  const isCounted = row?.counted === true;
  const after = { ...before, bytes: before.bytes + bytes, count: before.count + count, status, counted: true };
  if (row === null) await ctx.db.insert("entityTotals", after);
  else if (bytes !== 0 || count !== 0 || row.status !== status || !isCounted) {
    await ctx.db.replace("entityTotals", row._id, after);
  }
  return plus(contribution(after), isCounted ? contribution(before) : nothing(), -1);
}

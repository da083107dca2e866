/** What a platform's own backend may do with the assets of its projects, whichever sidecar wrote them. */
import type { Doc } from "../_generated/dataModel";
import type { MutationCtx, QueryCtx } from "../_generated/server";
import { mayWrite, projectOf, requireProject } from "./auth";
import { changeOf, newBatch, type Batch } from "./batch";
import { saveChanges } from "./changes";
import { dropAsset } from "./effects";
import { fail } from "./errors";
import { assetById, slotDigest } from "./identity";
import { beat } from "./liveness";
import { NOTHING } from "./objects";
import { pageOf } from "./pages";
import { toAssetReference } from "./references";
import { assetRow, isDeleted, sceneRow, sessionTombstone, versionsUpTo } from "./rows";
import type { Caller, EntityName, OlderVersion, ProjectRule, Removal, RemovalResult, VersionName } from "./shapes";
import { expireVersion } from "./versions";

export const MAX_ASSETS = 100;
const SHOWN_MAX = 20;
const OLDER_MAX = 50;

/** The next assets of a project, by session and entity, then as a player wants them. */
export async function listByProject(
  ctx: QueryCtx,
  backend: Caller,
  { projectId, cursor }: { projectId: string; cursor: string | null },
) {
  requireProject(backend, projectId);
  const { page, isDone, continueCursor } = await pageOf(
    {
      read: (narrow) => ctx.db.query("assets").withIndex("by_project", (q) => narrow(q.eq("projectId", projectId))),
      key: ["sessionId", "entityType", "entityId", "order", "name", "assetType"],
    },
    { cursor, numItems: MAX_ASSETS },
  );
  return { assets: await Promise.all(page.map(toAssetReference)), cursor: isDone ? null : continueCursor };
}

/** The next assets of a scene or a session, as a player wants them; none of a session that is not the project's. */
export async function listByEntity(
  ctx: QueryCtx,
  backend: Caller,
  { projectId, sessionId, entityType, entityId, cursor }: EntityName & { projectId: string; cursor: string | null },
) {
  requireProject(backend, projectId);
  const { page, isDone, continueCursor } = await pageOf(
    {
      read: (narrow) =>
        ctx.db
          .query("assets")
          .withIndex("by_project", (q) =>
            narrow(
              q
                .eq("projectId", projectId)
                .eq("sessionId", sessionId)
                .eq("entityType", entityType)
                .eq("entityId", entityId),
            ),
          ),
      key: ["order", "name", "assetType"],
    },
    { cursor, numItems: MAX_ASSETS },
  );
  return { assets: await Promise.all(page.map(toAssetReference)), cursor: isDone ? null : continueCursor };
}

/** Null for an asset that is not there, or in a project that is not the caller's: the two look the same. */
export async function findById(ctx: QueryCtx, backend: Caller, ids: string[]) {
  requireFew(ids.length);
  const rows = await Promise.all(ids.map((id) => assetById(ctx, id)));
  return await Promise.all(
    rows.map(async (row) => (row !== null && mayWrite(backend, row.projectId) ? await toAssetReference(row) : null)),
  );
}

/**
 * Which assets show an object, whoever put it there; `others`: so do assets in projects that are not the caller's, or
 * more than a few.
 */
export async function findByKey(ctx: QueryCtx, backend: Caller, { bucket, keys }: { bucket: string; keys: string[] }) {
  requireFew(keys.length);
  return await Promise.all(
    keys.map(async (key) => {
      const rows = await ctx.db
        .query("assets")
        .withIndex("by_key", (q) => q.eq("s3Key", key))
        .take(SHOWN_MAX + 1);
      const shown = rows.slice(0, SHOWN_MAX).filter((row) => row.bucket === bucket);
      const ours = shown.filter((row) => mayWrite(backend, row.projectId));
      const others = rows.length > SHOWN_MAX || ours.length < shown.length;
      return { assets: await Promise.all(ours.map(toAssetReference)), others };
    }),
  );
}

/**
 * Removes assets that still have the version that the caller saw; their versions stay, until they expire. The caller is
 * heard, as a sidecar is: what it counts goes into the base once it is gone.
 */
export async function removeAssets(
  ctx: MutationCtx,
  backend: Caller,
  { projectId, removals }: { projectId: string; removals: Removal[] },
): Promise<RemovalResult[]> {
  requireProject(backend, projectId);
  requireFew(removals.length);
  await beat(ctx, backend.producer);
  const batches = new Map<string, Batch | null>();
  const results: RemovalResult[] = [];
  for (const { slot, expectedVersion } of removals) {
    const { sessionId } = slot;
    if (!batches.has(sessionId)) batches.set(sessionId, await batchFor(ctx, backend, projectId, sessionId));
    const batch = batches.get(sessionId) ?? null;
    results.push({ assetId: await slotDigest(slot), ...(await remove(ctx, batch, { slot, expectedVersion })) });
  }
  for (const batch of batches.values()) if (batch !== null) await saveChanges(ctx, batch);
  return results;
}

async function remove(ctx: MutationCtx, batch: Batch | null, { slot, expectedVersion }: Removal) {
  const isGone = batch === null || (slot.entityType === "scene" && (await isDeleted(ctx, slot.sessionId, slot.entityId)));
  const current = isGone ? null : await assetRow(ctx, slot);
  if (batch === null || current === null) return { outcome: "absent" as const };
  const { version } = current;
  if (version !== expectedVersion) return { outcome: "changed" as const, version };
  await dropAsset(ctx, batch, current);
  return { outcome: "removed" as const, version };
}

/**
 * Of assets that a backend has removed: what is left of their older versions, of each the newest 50. They leave the
 * scene's history, so that they may expire; what the slot shows by now stays shown.
 */
export async function forgetOlder(
  ctx: MutationCtx,
  backend: Caller,
  { projectId, versions }: { projectId: string; versions: VersionName[] },
): Promise<OlderVersion[][]> {
  requireProject(backend, projectId);
  requireFew(versions.length);
  const batches = new Map<string, Batch | null>();
  const found: OlderVersion[][] = [];
  for (const name of versions) {
    const { sessionId, entityId } = name;
    const rows = await versionsUpTo(ctx, name, OLDER_MAX);
    const ours = rows.filter((row) => row.projectId === projectId);
    found.push(ours.map(({ version, transfer, bucket, s3Key }) => ({ version, transfer, bucket, s3Key })));
    if (!batches.has(sessionId)) batches.set(sessionId, await batchFor(ctx, backend, projectId, sessionId));
    const batch = batches.get(sessionId) ?? null;
    if (batch !== null && (await hasHistory(ctx, name))) {
      changeOf(batch, "scene", entityId).forgotten.push(name);
    }
  }
  for (const batch of batches.values()) if (batch !== null) await saveChanges(ctx, batch);
  return found;
}

async function hasHistory(ctx: QueryCtx, { sessionId, entityType, entityId, ...of }: VersionName): Promise<boolean> {
  if (entityType !== "scene" || (await isDeleted(ctx, sessionId, entityId))) return false;
  const scene = await sceneRow(ctx, sessionId, entityId);
  return scene?.previousAssetVersions.some((one) => one.assetType === of.assetType && one.name === of.name) ?? false;
}

/** Null for a session of another project, and for one that was deleted: what is left of it goes by itself. */
async function batchFor(
  ctx: MutationCtx,
  backend: Caller,
  projectId: string,
  sessionId: string,
): Promise<Batch | null> {
  if ((await projectOf(ctx, sessionId)) !== projectId) return null;
  if ((await sessionTombstone(ctx, sessionId)) !== null) return null;
  const of = { producer: backend.producer, keys: NOTHING, now: Date.now() };
  return newBatch({ projectId, sessionId, epoch: 0, ackedSeq: 0 }, of);
}

/** Marks versions of any sidecar as expired; returns which are. What is still shown is left alone. */
export async function expireAny(
  ctx: MutationCtx,
  backend: Caller,
  { projectId, versions, rules }: { projectId: string; versions: VersionName[]; rules: ProjectRule[] },
): Promise<boolean[]> {
  requireProject(backend, projectId);
  requireFew(versions.length);
  const isTheirs = (row: Doc<"assetVersions">) => row.projectId === projectId;
  const marked: boolean[] = [];
  for (const name of versions) marked.push(await expireVersion(ctx, rules, { name, isTheirs }));
  return marked;
}

export function requireFew(count: number): void {
  if (count > MAX_ASSETS) fail("BATCH_TOO_LARGE", `${count} items in one call; at most ${MAX_ASSETS}`);
}

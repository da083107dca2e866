/** A sidecar's own versions: page by page for reconciliation, and marked expired before their objects go. */
import type { Doc } from "../_generated/dataModel";
import type { MutationCtx, QueryCtx } from "../_generated/server";
import { mayWrite } from "./auth";
import { requireNewestEpoch } from "./epochs";
import { fail } from "./errors";
import { assetIdOf } from "./identity";
import { NOTHING, problemWithObject } from "./objects";
import { pageOf } from "./pages";
import { assetRow, isDeleted, lastVersion, sceneRow, sessionTombstone, versionRow } from "./rows";
import type { Caller, ProjectRule, VersionName } from "./shapes";

export const MAX_VERSIONS = 100;

type Version = Doc<"assetVersions">;
type Db = Pick<QueryCtx, "db">;

/** The next versions that this sidecar wrote, oldest first. Others' are not shown. */
export async function listVersions(ctx: QueryCtx, producer: string, cursor: string | null) {
  const { page, isDone, continueCursor } = await pageOf(
    {
      read: (narrow) =>
        ctx.db.query("assetVersions").withIndex("by_producer", (q) => narrow(q.eq("producer", producer))),
      key: ["createdAt", "assetId", "version"],
    },
    { cursor, numItems: MAX_VERSIONS },
  );
  const versions = await Promise.all(page.map((row) => describe(ctx, row)));
  return { versions, cursor: isDone ? null : continueCursor };
}

/** Marks versions whose objects may go; returns which are marked now. What is still shown is left alone. */
export async function expireOwn(
  ctx: MutationCtx,
  caller: Caller,
  { epoch, versions, rules }: { epoch: number; versions: VersionName[]; rules: ProjectRule[] },
): Promise<boolean[]> {
  if (versions.length > MAX_VERSIONS) {
    fail("BATCH_TOO_LARGE", `${versions.length} versions in one call; at most ${MAX_VERSIONS}`);
  }
  await requireNewestEpoch(ctx, caller.producer, epoch);
  const marked: boolean[] = [];
  const isTheirs = (row: Version) => row.producer === caller.producer && mayWrite(caller, row.projectId);
  for (const name of versions) marked.push(await expireVersion(ctx, rules, { name, isTheirs }));
  return marked;
}

/** The object is looked at once more: its row may be older than the rule, or than the issuer's list of projects. */
export async function expireVersion(
  ctx: MutationCtx,
  rules: ProjectRule[],
  { name, isTheirs }: { name: VersionName; isTheirs: (row: Version) => boolean },
): Promise<boolean> {
  const row = await versionRow(ctx, name, name.version);
  if (row === null || !isTheirs(row)) return false;
  const rule = rules.find((one) => one.projectId === row.projectId)?.rule ?? NOTHING;
  if (problemWithObject(row, row.projectId, rule) !== null) return false;
  if ((await statusOf(ctx, row)) === "current") return false;
  if (!row.expired) await ctx.db.patch("assetVersions", row._id, { expired: true });
  return true;
}

export async function describe(ctx: QueryCtx, row: Version) {
  const { sessionId, entityType, entityId, assetType, name, version } = row;
  const { transfer, bucket, s3Key, size, checksum } = row;
  const next = await versionRow(ctx, row, version + 1);
  return {
    assetId: await assetIdOf(row),
    ...{ sessionId, entityType, entityId, assetType, name, version },
    ...{ transfer, bucket, s3Key, size, checksum },
    status: await statusOf(ctx, row),
    newer: (await lastVersion(ctx, row)) - version,
    supersededAt: next?.createdAt ?? null,
  };
}

async function statusOf(ctx: Db, row: Version): Promise<"current" | "superseded" | "deleted" | "expired"> {
  if (await isShown(ctx, row)) return "current";
  if (row.expired) return "expired";
  if ((await sessionTombstone(ctx, row.sessionId)) !== null) return "deleted";
  if (row.entityType !== "scene") return "superseded";
  return (await isDeleted(ctx, row.sessionId, row.entityId)) ? "deleted" : "superseded";
}

/** By key: content that came back may be shown under the key of an older version. */
async function isShown(ctx: Db, row: Version): Promise<boolean> {
  const current = await assetRow(ctx, row);
  if (current?.s3Key === row.s3Key) return true;
  if (row.entityType !== "scene") return false;
  const scene = await sceneRow(ctx, row.sessionId, row.entityId);
  return scene?.previousAssetVersions.some((asset) => asset.s3Key === row.s3Key) ?? false;
}

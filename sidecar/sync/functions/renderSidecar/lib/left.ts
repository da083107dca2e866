/**
 * What sidecars left that are gone: nobody else would ever expire their versions, or look after objects of which they
 * could not tell. Who lists the bucket is a backend; which object may go is decided here, each time anew.
 */
import type { Doc } from "../_generated/dataModel";
import type { QueryCtx } from "../_generated/server";
import { mayWrite } from "./auth";
import { requireFew } from "./backend";
import { newestEpoch } from "./epochs";
import { problemWithObject } from "./objects";
import type { Caller, LeftObject, ProjectRule } from "./shapes";
import { tagsIn } from "./tags";
import { describe } from "./versions";

/** Whoever is silent for so long does not come back with what it owes. */
const GONE_MS = 7 * 24 * 60 * 60_000;

type Of = { bucket: string; key: string };

/** In order; null for an object that is to stay: it is not the caller's to judge, or somebody may still want it. */
export async function findLeft(
  ctx: QueryCtx,
  backend: Caller,
  { bucket, keys, rules }: { bucket: string; keys: string[]; rules: ProjectRule[] },
): Promise<(LeftObject | null)[]> {
  requireFew(keys.length);
  const within = rules.filter(({ projectId }) => mayWrite(backend, projectId));
  return await Promise.all(keys.map((key) => leftObject(ctx, { bucket, key }, within)));
}

/** A key that several versions name is nobody's alone. */
async function leftObject(ctx: QueryCtx, { bucket, key }: Of, rules: ProjectRule[]): Promise<LeftObject | null> {
  const rows = await ctx.db
    .query("assetVersions")
    .withIndex("by_key", (q) => q.eq("s3Key", key))
    .take(2);
  const [row, other] = rows;
  if (other !== undefined) return null;
  if (row === undefined) return await orphan(ctx, { bucket, key }, rules);
  const { projectId } = row;
  const rule = rules.find((one) => one.projectId === projectId)?.rule;
  if (rule === undefined || row.bucket !== bucket || problemWithObject(row, projectId, rule) !== null) return null;
  return (await isProducerGone(ctx, row.producer)) ? { projectId, version: await describe(ctx, row) } : null;
}

/** Of a project by a rule that says which objects are its own: an issuer's word is not enough where nobody told of one. */
async function orphan(ctx: QueryCtx, { bucket, key }: Of, rules: ProjectRule[]): Promise<LeftObject | null> {
  const isOurs = ({ projectId, rule }: ProjectRule) =>
    rule !== "anything" && problemWithObject({ bucket, s3Key: key }, projectId, rule) === null;
  const owner = rules.find(isOurs);
  const tags = tagsIn(key);
  if (tags.length === 0 || owner === undefined) return null;
  for (const tag of tags) if (!(await isTagGone(ctx, tag))) return null;
  const shown = await ctx.db
    .query("assets")
    .withIndex("by_key", (q) => q.eq("s3Key", key))
    .first();
  return shown === null ? { projectId: owner.projectId, version: null } : null;
}

/** All that have it, of whichever issuer, and at least one: of a tag that nobody knows nothing is known. */
async function isTagGone(ctx: QueryCtx, tag: string): Promise<boolean> {
  const rows = await ctx.db
    .query("sidecarHeartbeats")
    .withIndex("by_tag", (q) => q.eq("tag", tag))
    .collect();
  return rows.length > 0 && rows.every(isGone);
}

/** One without a heartbeat was collected, a month after it was last heard of; or it comes from before there were any. */
async function isProducerGone(ctx: QueryCtx, producer: string): Promise<boolean> {
  const row = await ctx.db
    .query("sidecarHeartbeats")
    .withIndex("by_producer", (q) => q.eq("producer", producer))
    .unique();
  return row === null ? (await newestEpoch(ctx, producer)) === null : isGone(row);
}

const isGone = ({ goneSince }: Doc<"sidecarHeartbeats">) => goneSince !== undefined && goneSince <= Date.now() - GONE_MS;

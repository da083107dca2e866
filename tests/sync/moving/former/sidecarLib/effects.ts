/** What each kind of op does to the rows. Documents of scenes and sessions follow in changes.ts. */
import type { Doc } from "../_generated/dataModel";
import type { MutationCtx } from "../_generated/server";
import { changeOf, type Batch } from "./batch";
import { slotOf } from "./checks";
import { assetIdOf, slotDigest } from "./identity";
import { assetRow, isSegment, lastVersion, toS3Asset } from "./rows";
import type { Effect, FactsOp, PutOp, RemoveOp, S3Asset, Slot } from "./shapes";

type Named = Pick<Doc<"assetVersions">, "s3Key" | "transfer">;

/** An index that sorts after every other. */
const LAST = Number.MAX_SAFE_INTEGER;

export async function putAsset(ctx: MutationCtx, batch: Batch, op: PutOp): Promise<Effect> {
  const slot = slotOf(op, batch.sessionId);
  const current = await assetRow(ctx, slot);
  if (current !== null && isSame(current, op.asset)) return await describe(ctx, batch, current, op);
  const version = (current?.version ?? (await lastVersion(ctx, slot))) + 1;
  await writeVersion(ctx, batch, { slot, op, version });
  await writeCurrent(ctx, batch, { slot, op, version, current });
  await noteChange(batch, slot, op, current);
  const from = current === null || current.producer === batch.producer ? null : current;
  if (from === null) return { outcome: "applied", version };
  const message = `took the slot over from ${from.producer}, which had written version ${from.version}`;
  return { outcome: "applied", version, code: "TAKEOVER", message };
}

/** In another bucket the same bytes are a new version: whoever moved there wants them shown from there. */
function isSame(one: S3Asset, other: S3Asset): boolean {
  return one.checksum === other.checksum && one.size === other.size && one.bucket === other.bucket;
}

/** The same content again: no new version, but its index, role and metadata follow the newest rules. */
async function describe(
  ctx: MutationCtx,
  batch: Batch,
  current: Doc<"assets">,
  op: PutOp,
): Promise<Effect> {
  const described = description(op);
  const before = description(current);
  if (JSON.stringify(described) !== JSON.stringify(before)) {
    await ctx.db.patch("assets", current._id, { ...described, updatedAt: batch.now });
    changeOf(batch, current.entityType, current.entityId).assetTypes.add(current.assetType);
  }
  return { outcome: "unchanged", version: current.version, ...keptInstead(current, op) };
}

/** Whether a version names another object than the one that was put. */
export function keptInstead(version: Named, op: PutOp): Pick<Effect, "kept"> {
  const { s3Key, transfer } = version;
  return s3Key === op.asset.s3Key ? {} : { kept: { s3Key, transfer } };
}

/** What is said about an asset and does not change its content. Metadata in the order of its keys. */
function description(of: Pick<PutOp, "name" | "index" | "role" | "metadata">) {
  const { name, index, role } = of;
  const metadata = Object.fromEntries(Object.entries(of.metadata).sort(([a], [b]) => (a < b ? -1 : 1)));
  return { index, role, metadata, rank: isSegment(name) ? 2 : role === "main" ? 0 : 1, order: index ?? LAST };
}

async function writeVersion(
  ctx: MutationCtx,
  batch: Batch,
  { slot, op, version }: { slot: Slot; op: PutOp; version: number },
): Promise<void> {
  await ctx.db.insert("assetVersions", {
    ...slot,
    ...toS3Asset(op.asset),
    projectId: batch.projectId,
    assetId: await slotDigest(slot),
    version,
    transfer: op.transfer,
    producer: batch.producer,
    createdAt: batch.now,
    expired: false,
  });
}

async function writeCurrent(
  ctx: MutationCtx,
  batch: Batch,
  { slot, op, version, current }: { slot: Slot; op: PutOp; version: number; current: Doc<"assets"> | null },
): Promise<void> {
  const row = {
    ...slot,
    ...toS3Asset(op.asset),
    ...description(op),
    projectId: batch.projectId,
    assetId: await slotDigest(slot),
    transfer: op.transfer,
    version,
    producer: batch.producer,
    createdAt: current?.createdAt ?? batch.now,
    updatedAt: batch.now,
  };
  if (current === null) await ctx.db.insert("assets", row);
  else await ctx.db.replace("assets", current._id, row);
}

async function noteChange(batch: Batch, slot: Slot, op: PutOp, current: Doc<"assets"> | null): Promise<void> {
  const change = changeOf(batch, slot.entityType, slot.entityId);
  change.assetTypes.add(slot.assetType);
  change.bytes += op.asset.size - (current?.size ?? 0);
  change.count += current === null ? 1 : 0;
  if (current === null) return;
  const { assetType, name, version } = current;
  const assetId = await assetIdOf(current);
  change.replaced.push({ ...toS3Asset(current), assetId, assetType, name, version, replacedAt: batch.now });
}

/** A slot that another sidecar has taken over since is not the sender's to empty. */
export async function removeAsset(ctx: MutationCtx, batch: Batch, op: RemoveOp): Promise<Effect> {
  const current = await assetRow(ctx, slotOf(op, batch.sessionId));
  if (current === null) return { outcome: "unchanged" };
  if (current.producer !== batch.producer) {
    return { outcome: "stale", version: current.version, message: `the slot is ${current.producer}'s now` };
  }
  await dropAsset(ctx, batch, current);
  return { outcome: "applied", version: current.version };
}

/** Empties a slot, whoever filled it. */
export async function dropAsset(ctx: MutationCtx, batch: Batch, current: Doc<"assets">): Promise<void> {
  await ctx.db.delete("assets", current._id);
  const change = changeOf(batch, current.entityType, current.entityId);
  change.assetTypes.add(current.assetType);
  change.removed = true;
  change.bytes -= current.size;
  change.count -= 1;
}

/** Replaces what this sidecar said of the scene before. */
export async function reportFacts(ctx: MutationCtx, batch: Batch, op: FactsOp): Promise<Effect> {
  const { sessionId, producer, now } = batch;
  const { sceneId, complete, owed, error, reason } = op;
  const row = { sessionId, sceneId, producer, complete, owed, error, reason, updatedAt: now };
  const current = await ctx.db
    .query("sceneFacts")
    .withIndex("by_scene", (q) =>
      q.eq("sessionId", sessionId).eq("sceneId", sceneId).eq("producer", producer),
    )
    .unique();
  if (current === null) await ctx.db.insert("sceneFacts", row);
  else await ctx.db.replace("sceneFacts", current._id, row);
  const change = changeOf(batch, "scene", sceneId);
  change.factsChanged = true;
  change.expected = op.expected ?? change.expected;
  return { outcome: "applied" };
}

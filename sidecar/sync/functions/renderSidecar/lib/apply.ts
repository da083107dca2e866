/**
 * The one write path. It reads points, never a session-wide range: two sidecars of one session
 * conflict only where they touch the same scene.
 */
import type { Doc } from "../_generated/dataModel";
import type { MutationCtx } from "../_generated/server";
import { projectOf, requireProject } from "./auth";
import { newBatch, type Batch, type BatchArgs } from "./batch";
import { problemWith, slotOf, type Problem } from "./checks";
import { keptInstead, putAsset, reportFacts, removeAsset } from "./effects";
import { requireNewestEpoch } from "./epochs";
import { fail } from "./errors";
import { slotDigest } from "./identity";
import { isOlder, newestOfSlot, prune, remember } from "./ledger";
import { saveChanges } from "./changes";
import { defined } from "./optional";
import { addressOf, problemWithObject } from "./objects";
import { isDeleted, sceneRow, sessionTombstone, versionRow } from "./rows";
import type { Caller, Effect, ObjectRule, OnUnknownEntity, Op, OpResult } from "./shapes";

export const MAX_OPS = 100;

type Given = BatchArgs & { ops: Op[]; keys: ObjectRule; mayClaim: boolean; onUnknownEntity?: OnUnknownEntity };

/** Throws for authorization, fencing and size; a bad op is `rejected` and disturbs no other. */
export async function applyBatch(
  ctx: MutationCtx,
  caller: Caller,
  { ops, keys, mayClaim, onUnknownEntity, ...args }: Given,
): Promise<OpResult[]> {
  if (ops.length > MAX_OPS) fail("BATCH_TOO_LARGE", `${ops.length} ops in one call; at most ${MAX_OPS}`);
  if (args.sessionId === "" || args.projectId === "") fail("INVALID", "sessionId or projectId is empty");
  requireProject(caller, args.projectId);
  await requireNewestEpoch(ctx, caller.producer, args.epoch);
  const batch = newBatch(args, { producer: caller.producer, keys, now: Date.now() });
  const owner = await projectOf(ctx, batch.sessionId);
  if (onUnknownEntity === "wait") batch.mustExist = owner === null ? "session" : "scenes";
  const foreign = await problemWithSession(ctx, batch, { owner, mayClaim: mayClaim || onUnknownEntity === "wait" });
  const results: OpResult[] = [];
  for (const op of ops) {
    const effect = await applyOp(ctx, batch, op, foreign);
    results.push({ opId: op.opId, ...(await identity(op, args.sessionId)), ...effect });
  }
  await saveChanges(ctx, batch);
  await prune(ctx, batch);
  return results;
}

/** Which asset an op is about, where it names one. */
async function identity(op: Op, sessionId: string): Promise<Pick<OpResult, "assetId">> {
  return op.kind === "facts" ? {} : { assetId: await slotDigest(slotOf(op, sessionId)) };
}

/** What was applied is never refused afterwards, whatever changed since: `rejected` says that nothing is shown. */
async function applyOp(ctx: MutationCtx, batch: Batch, op: Op, foreign: Problem | null): Promise<Effect> {
  const slot = slotKey(batch, op);
  const content = contentOf(op);
  const seen = await ctx.db
    .query("appliedOps")
    .withIndex("by_op", (q) => q.eq("producer", batch.producer).eq("opId", op.opId))
    .unique();
  if (seen !== null) return await again(ctx, batch, op, { seen, slot, content });
  const problem = foreign ?? problemWith(op, batch.sessionId) ?? foreignObject(batch, op);
  if (problem !== null) return rejected(problem);
  const deleted = await problemWithScene(ctx, batch, op);
  if (deleted !== null) return rejected(deleted);
  const missing = await unknownEntity(ctx, batch, op);
  if (missing !== null) return { outcome: "unknown", ...missing };
  const newest = await newestOfSlot(ctx, batch.producer, slot);
  const late = newest !== null && isOlder({ epoch: batch.epoch, seq: op.seq }, newest);
  const effect: Effect = late
    ? stale(newest)
    : await takeEffect(ctx, batch, op);
  await remember(ctx, batch, { op, slot, content, version: effect.version, newest, late });
  return effect;
}

async function takeEffect(ctx: MutationCtx, batch: Batch, op: Op): Promise<Effect> {
  switch (op.kind) {
    case "put": {
      const s3Url = addressOf(op.asset, batch.keys);
      return await putAsset(ctx, batch, { ...op, asset: { ...op.asset, s3Url } });
    }
    case "remove":
      return await removeAsset(ctx, batch, op);
    case "facts":
      return await reportFacts(ctx, batch, op);
  }
}

async function again(
  ctx: MutationCtx,
  batch: Batch,
  op: Op,
  { seen, slot, content }: { seen: Doc<"appliedOps">; slot: string; content: string },
): Promise<Effect> {
  if (seen.slot !== slot || seen.content !== content) {
    return rejected({ code: "OP_ID_REUSED", message: "this opId was applied before, with other content" });
  }
  const effect: Effect = defined({ outcome: "duplicate" as const, version: seen.version });
  if (op.kind !== "put" || seen.version === undefined) return effect;
  const named = await versionRow(ctx, slotOf(op, batch.sessionId), seen.version);
  return named === null ? effect : { ...effect, ...keptInstead(named, op) };
}

const stale = ({ seq, version }: Doc<"appliedOps">): Effect =>
  defined({ outcome: "stale" as const, version, message: `op ${seq} of this slot came before it` });
const rejected = (problem: Problem): Effect => ({ outcome: "rejected", ...problem });

/** A slot's key; a scene's facts are a slot of their own. */
function slotKey(batch: Batch, op: Op): string {
  if (op.kind === "facts") return JSON.stringify([batch.sessionId, "facts", op.sceneId]);
  const slot = slotOf(op, batch.sessionId);
  return JSON.stringify([slot.sessionId, slot.entityType, slot.entityId, slot.assetType, slot.name]);
}

function contentOf(op: Op): string {
  switch (op.kind) {
    case "put":
      return `put ${op.asset.checksum} ${op.asset.size} ${op.asset.s3Key}`;
    case "remove":
      return "remove";
    case "facts":
      return `facts ${op.complete} ${op.owed} ${op.error ?? ""}`;
  }
}

function foreignObject({ projectId, keys }: Batch, op: Op): Problem | null {
  return op.kind === "put" ? problemWithObject(op.asset, projectId, keys) : null;
}

/** A session that nobody has written yet is claimed for its project, for good. */
async function problemWithSession(
  ctx: MutationCtx,
  batch: Batch,
  { owner: projectId, mayClaim }: { owner: string | null; mayClaim: boolean },
): Promise<Problem | null> {
  if ((await sessionTombstone(ctx, batch.sessionId)) !== null) {
    return { code: "SESSION_DELETED", message: `session "${batch.sessionId}" was deleted` };
  }
  if (projectId === batch.projectId) return null;
  if (projectId === null) {
    if (mayClaim) return null;
    const message = `session "${batch.sessionId}" is not project "${batch.projectId}"'s to begin: see ownsSession in convex/sidecarAccess.ts`;
    return { code: "FOREIGN_SESSION", message };
  }
  return {
    code: "SESSION_OF_OTHER_PROJECT",
    message: `session "${batch.sessionId}" belongs to project "${projectId}", not "${batch.projectId}"`,
  };
}

const sceneOf = (op: Op) => (op.kind === "facts" ? op.sceneId : op.entityType === "scene" ? op.entityId : null);

/** Of a sidecar that makes neither: what is not there yet. Nothing has to be there for an asset to be removed. */
async function unknownEntity(ctx: MutationCtx, batch: Batch, op: Op): Promise<Problem | null> {
  const { mustExist, sessionId } = batch;
  if (mustExist === "nothing" || op.kind === "remove") return null;
  if (mustExist === "session") {
    return { code: "UNKNOWN_SESSION", message: `the application has not made session "${sessionId}" yet (ensureSession)` };
  }
  const sceneId = sceneOf(op);
  if (sceneId === null || (await sceneRow(ctx, sessionId, sceneId)) !== null) return null;
  return { code: "UNKNOWN_SCENE", message: `the application has not made scene "${sceneId}" yet (ensureScene)` };
}

async function problemWithScene(ctx: MutationCtx, batch: Batch, op: Op): Promise<Problem | null> {
  const sceneId = sceneOf(op);
  if (sceneId === null) return null;
  if (!(await isDeleted(ctx, batch.sessionId, sceneId))) return null;
  return { code: "SCENE_DELETED", message: `scene "${sceneId}" was deleted` };
}

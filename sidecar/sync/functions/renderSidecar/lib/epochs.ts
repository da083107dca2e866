/**
 * Epochs: each journal of a sidecar gets the next number, given by the server, and only the newest
 * journal may write. An old copy of a journal, brought back by a restored volume, is fenced.
 */
import type { Doc } from "../_generated/dataModel";
import type { MutationCtx, QueryCtx } from "../_generated/server";
import { startBackfill } from "./backfill";
import { fail } from "./errors";
import { beat } from "./liveness";
import { CONTRACT_VERSION } from "./shapes";

const FENCED = "a newer journal of this sidecar has registered; this one may no longer write";

/** Idempotent for one journal. Throws FENCED for a journal that a newer one has replaced. */
export async function registerJournal(ctx: MutationCtx, producer: string, journalId: string) {
  const newest = await newestEpoch(ctx, producer);
  const known = await ctx.db
    .query("sidecarEpochs")
    .withIndex("by_journal", (q) => q.eq("producer", producer).eq("journalId", journalId))
    .unique();
  if (known !== null && known.epoch !== newest?.epoch) fail("FENCED", FENCED);
  const epoch = known?.epoch ?? (newest?.epoch ?? 0) + 1;
  await startBackfill(ctx);
  await beat(ctx, producer);
  if (known === null) {
    await ctx.db.insert("sidecarEpochs", { producer, journalId, epoch, registeredAt: Date.now() });
  }
  return { epoch, lastSeq: await lastSeq(ctx, producer, epoch), contractVersion: CONTRACT_VERSION };
}

/**
 * Throws unless `epoch` is the newest of this sidecar; notes that it is alive. The functions may have been replaced
 * since it registered: now and then rows of earlier versions are looked for, too.
 */
export async function requireNewestEpoch(ctx: MutationCtx, producer: string, epoch: number): Promise<null> {
  const newest = await newestEpoch(ctx, producer);
  if (newest === null || epoch > newest.epoch) {
    fail("UNREGISTERED", `epoch ${epoch} of ${producer} is unknown here: call sidecar:register first`);
  }
  if (epoch < newest.epoch) fail("FENCED", FENCED);
  if (await beat(ctx, producer)) await startBackfill(ctx);
  return null;
}

/** The row of a sidecar's newest journal. */
export async function newestEpoch(
  ctx: Pick<QueryCtx, "db">,
  producer: string,
): Promise<Doc<"sidecarEpochs"> | null> {
  return await ctx.db
    .query("sidecarEpochs")
    .withIndex("by_epoch", (q) => q.eq("producer", producer))
    .order("desc")
    .first();
}

/** The highest seq of an epoch is also the newest op of its slot, so `latest` rows suffice. */
async function lastSeq(ctx: MutationCtx, producer: string, epoch: number): Promise<number> {
  const row = await ctx.db
    .query("appliedOps")
    .withIndex("by_seq", (q) => q.eq("producer", producer).eq("latest", true).eq("epoch", epoch))
    .order("desc")
    .first();
  return row?.seq ?? 0;
}

/** What only a living sidecar can ask for goes a month after it was last heard of: short-lived ones leave nothing behind. */
import { v } from "convex/values";
import { internal } from "../_generated/api";
import { internalMutation, type MutationCtx } from "../_generated/server";

/** No request waits in a network, and no op in an outbox, for so long. */
const KEPT_MS = 30 * 24 * 60 * 60_000;
const ROWS_PER_STEP = 200;

/** To be called once a sidecar is known to be gone. */
export async function scheduleCollection(ctx: MutationCtx, producer: string): Promise<void> {
  await ctx.scheduler.runAfter(KEPT_MS, internal.sidecarLib.collection.collect, { producer });
}

/**
 * The rows of idempotency first, then its epochs and its heartbeat. One that comes back after that is a new one: the
 * same content is `unchanged`, and versions go on.
 */
export const collect = internalMutation({
  args: { producer: v.string() },
  returns: v.null(),
  handler: async (ctx, { producer }) => {
    const heartbeat = await ctx.db
      .query("sidecarHeartbeats")
      .withIndex("by_producer", (q) => q.eq("producer", producer))
      .unique();
    if (heartbeat?.goneSince === undefined) return null;
    const left = heartbeat.goneSince + KEPT_MS - Date.now();
    const ops = left > 0 ? [] : await opsOf(ctx, producer);
    for (const row of ops) await ctx.db.delete("appliedOps", row._id);
    if (left > 0 || ops.length === ROWS_PER_STEP) {
      await ctx.scheduler.runAfter(Math.max(0, left), internal.sidecarLib.collection.collect, { producer });
      return null;
    }
    const epochs = ctx.db.query("sidecarEpochs").withIndex("by_epoch", (q) => q.eq("producer", producer));
    for (const row of await epochs.take(ROWS_PER_STEP)) await ctx.db.delete("sidecarEpochs", row._id);
    await ctx.db.delete("sidecarHeartbeats", heartbeat._id);
    return null;
  },
});

async function opsOf(ctx: MutationCtx, producer: string) {
  return await ctx.db
    .query("appliedOps")
    .withIndex("by_op", (q) => q.eq("producer", producer))
    .take(ROWS_PER_STEP);
}

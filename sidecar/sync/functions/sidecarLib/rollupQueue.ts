/** Asking for a session's totals to be summed again, at most once a second. */
import { internal } from "../_generated/api";
import type { MutationCtx } from "../_generated/server";

const DEBOUNCE_MS = 1000;

export async function scheduleRollup(ctx: MutationCtx, sessionId: string): Promise<void> {
  const job = await ctx.db
    .query("rollupJobs")
    .withIndex("by_session", (q) => q.eq("sessionId", sessionId))
    .first();
  if (job !== null) return;
  await ctx.db.insert("rollupJobs", { sessionId });
  await ctx.scheduler.runAfter(DEBOUNCE_MS, internal.sidecarLib.rollup.begin, { sessionId });
}

/** Asking for a scene to be looked at again, once one of its sidecars may have fallen silent. */
import { internal } from "../_generated/api";
import type { MutationCtx } from "../_generated/server";

/** A sidecar that wrote nothing for so long counts as gone: a scene does not wait for it. */
export const SILENCE_MS = 15 * 60_000;

export async function scheduleRecheck(ctx: MutationCtx, sessionId: string, sceneId: string): Promise<void> {
  const job = await ctx.db
    .query("sceneRechecks")
    .withIndex("by_scene", (q) => q.eq("sessionId", sessionId).eq("sceneId", sceneId))
    .first();
  if (job !== null) return;
  await ctx.db.insert("sceneRechecks", { sessionId, sceneId, dueAt: Date.now() + SILENCE_MS });
  await ctx.scheduler.runAfter(SILENCE_MS, internal.sidecarLib.recheck.look, { sessionId, sceneId });
}

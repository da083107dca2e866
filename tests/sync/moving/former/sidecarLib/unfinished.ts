/** Scenes that a sidecar left unfinished, for its next journal if this one is lost. */
import type { Doc } from "../_generated/dataModel";
import type { QueryCtx } from "../_generated/server";
import { projectOf, type Sidecar } from "./auth";

export const MAX_SCENES = 100;

/** The next scenes of which this sidecar said that something is owed. Failed ones stay as they are. */
export async function listUnfinished(ctx: QueryCtx, sidecar: Sidecar, cursor: string | null) {
  const { page, isDone, continueCursor } = await ctx.db
    .query("sceneFacts")
    .withIndex("by_owed", (q) => q.eq("producer", sidecar.producer).gt("owed", 0))
    .paginate({ cursor, numItems: MAX_SCENES });
  const waiting = page.filter((row) => row.error === null);
  const scenes = await Promise.all(waiting.map((row) => describe(ctx, sidecar, row)));
  return { scenes: scenes.filter((scene) => scene !== null), cursor: isDone ? null : continueCursor };
}

/** Null for a scene of a project that is no longer the caller's to write. */
async function describe(ctx: QueryCtx, sidecar: Sidecar, row: Doc<"sceneFacts">) {
  const { sessionId, sceneId, complete, owed, reason } = row;
  const projectId = await projectOf(ctx, sessionId);
  if (projectId === null || !sidecar.mayWrite(projectId)) return null;
  return { projectId, sessionId, sceneId, complete, owed, reason };
}

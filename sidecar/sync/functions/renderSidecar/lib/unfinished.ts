/** Scenes that a sidecar left unfinished, for its next journal if this one is lost. */
import type { Doc } from "../_generated/dataModel";
import type { QueryCtx } from "../_generated/server";
import { mayWrite, projectOf } from "./auth";
import { pageOf } from "./pages";
import type { Caller } from "./shapes";

export const MAX_SCENES = 100;

/** The next scenes of which this sidecar said that something is owed. Failed ones stay as they are. */
export async function listUnfinished(ctx: QueryCtx, caller: Caller, cursor: string | null) {
  const { page, isDone, continueCursor } = await pageOf(
    {
      read: (narrow) => {
        const facts = ctx.db.query("sceneFacts");
        return cursor === null
          ? facts.withIndex("by_owed", (q) => q.eq("producer", caller.producer).gt("owed", 0))
          : facts.withIndex("by_owed", (q) => narrow(q.eq("producer", caller.producer)));
      },
      key: ["owed", "sessionId", "sceneId"],
    },
    { cursor, numItems: MAX_SCENES },
  );
  const waiting = page.filter((row) => row.error === null);
  const scenes = await Promise.all(waiting.map((row) => describe(ctx, caller, row)));
  return { scenes: scenes.filter((scene) => scene !== null), cursor: isDone ? null : continueCursor };
}

/** Null for a scene of a project that is no longer the caller's to write. */
async function describe(ctx: QueryCtx, caller: Caller, row: Doc<"sceneFacts">) {
  const { sessionId, sceneId, complete, owed, reason } = row;
  const projectId = await projectOf(ctx, sessionId);
  if (projectId === null || !mayWrite(caller, projectId)) return null;
  return { projectId, sessionId, sceneId, complete, owed, reason };
}

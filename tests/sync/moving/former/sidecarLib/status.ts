/** A scene's status, derived from what its sidecars report. */
import type { MutationCtx } from "../_generated/server";
import { chosenAsset, isSegment } from "./rows";
import type { AssetsStatus } from "./shapes";

export type Status = {
  assetsStatus: AssetsStatus;
  assetsErrorMessage: string | undefined;
  stalledSince: number | undefined;
};

/**
 * Ready once every sidecar says complete and owes nothing, but those that are gone (marked by liveness.ts); an error
 * of any of them is the scene's, that of one that is gone until the others have done its work. Segments alone make no
 * scene ready. However many sidecars the scene has had, a few points are read.
 */
export async function sceneStatus(ctx: MutationCtx, sessionId: string, sceneId: string): Promise<Status> {
  const { failed, isBusy, isDone, stalledSince } = await reports(ctx, sessionId, sceneId);
  if (failed !== undefined) return { assetsStatus: "error", assetsErrorMessage: failed, stalledSince };
  const isReady = isDone && !isBusy && !(await isOfSegments(ctx, sessionId, sceneId));
  return { assetsStatus: isReady ? "ready" : "uploading", assetsErrorMessage: undefined, stalledSince };
}

async function reports(ctx: MutationCtx, sessionId: string, sceneId: string) {
  const facts = () => ctx.db.query("sceneFacts");
  const failed = await facts()
    .withIndex("by_error", (q) => q.eq("sessionId", sessionId).eq("sceneId", sceneId).gt("error", null))
    .first();
  const liveFailed = await facts()
    .withIndex("by_live_error", (q) =>
      q.eq("sessionId", sessionId).eq("sceneId", sceneId).eq("goneSince", undefined).gt("error", null),
    )
    .first();
  const live = (complete: boolean, owed: "nothing" | "something" | "any") =>
    facts()
      .withIndex("by_state", (q) => {
        const of = q.eq("sessionId", sessionId).eq("sceneId", sceneId).eq("goneSince", undefined);
        if (owed === "any") return of.eq("complete", complete);
        return owed === "nothing" ? of.eq("complete", complete).eq("owed", 0) : of.eq("complete", complete).gt("owed", 0);
      })
      .first();
  const gone = await facts()
    .withIndex("by_error", (q) =>
      q.eq("sessionId", sessionId).eq("sceneId", sceneId).eq("error", null).gt("goneSince", 0),
    )
    .first();
  const isBusy = (await live(false, "any")) !== null || (await live(true, "something")) !== null;
  const isDone = (await live(true, "nothing")) !== null;
  const isMadeGood = isDone && !isBusy;
  const error = liveFailed?.error ?? (isMadeGood ? undefined : failed?.error);
  return { failed: error ?? undefined, isBusy, isDone, stalledSince: gone?.goneSince };
}

/** Whether all video of a scene is segments: whatever a sidecar says, nobody can play it. */
async function isOfSegments(ctx: MutationCtx, sessionId: string, sceneId: string): Promise<boolean> {
  const of = { sessionId, entityType: "scene", entityId: sceneId } as const;
  const shown = await chosenAsset(ctx, of, "video_chunk");
  return shown !== null && isSegment(shown.name);
}

/** A scene's status, derived from what its sidecars report. */
import type { Doc } from "../_generated/dataModel";
import type { MutationCtx } from "../_generated/server";
import { newestEpoch } from "./epochs";
import { scheduleRecheck, SILENCE_MS } from "./recheckQueue";
import { chosenAsset, isSegment } from "./rows";
import type { AssetsStatus } from "./shapes";

/** More sidecars than this never share one scene. */
const SIDECARS_MAX = 100;

type Status = { assetsStatus: AssetsStatus; assetsErrorMessage: string | undefined };
type Facts = Pick<Doc<"sceneFacts">, "complete" | "owed" | "error">;

/**
 * Ready once every sidecar says complete and owes nothing, but those that are gone; an error of any of them is the
 * scene's. What a sidecar said of its end counts although it has been idle since. Segments alone make no scene ready.
 */
export async function sceneStatus(
  ctx: MutationCtx,
  sessionId: string,
  sceneId: string,
  now: number,
): Promise<Status> {
  const rows = await ctx.db
    .query("sceneFacts")
    .withIndex("by_scene", (q) => q.eq("sessionId", sessionId).eq("sceneId", sceneId))
    .take(SIDECARS_MAX);
  const live = await Promise.all(rows.map((row) => isLive(ctx, row, now)));
  const counted = rows.filter((row, i) => live[i] || isOver(row));
  if (rows.length > 1 && !counted.every(isOver)) await scheduleRecheck(ctx, sessionId, sceneId);
  const status = statusOf(counted);
  const isVain = status.assetsStatus === "ready" && (await isOfSegments(ctx, sessionId, sceneId));
  return isVain ? { ...status, assetsStatus: "uploading" } : status;
}

/** Whether all video of a scene is segments: whatever a sidecar says, nobody can play it. */
async function isOfSegments(ctx: MutationCtx, sessionId: string, sceneId: string): Promise<boolean> {
  const of = { sessionId, entityType: "scene", entityId: sceneId } as const;
  const shown = await chosenAsset(ctx, of, "video_chunk");
  return shown !== null && isSegment(shown.name);
}

async function isLive(ctx: MutationCtx, facts: Doc<"sceneFacts">, now: number): Promise<boolean> {
  if (now - facts.updatedAt < SILENCE_MS) return true;
  const epoch = await newestEpoch(ctx, facts.producer);
  return epoch !== null && now - epoch.lastSeenAt < SILENCE_MS;
}

const isOver = ({ complete, owed, error }: Facts) => complete && owed === 0 && error === null;

function statusOf(facts: Facts[]): Status {
  const failed = facts.find((row) => row.error !== null);
  if (failed !== undefined) return { assetsStatus: "error", assetsErrorMessage: failed.error ?? undefined };
  const done = facts.length > 0 && facts.every(isOver);
  return { assetsStatus: done ? "ready" : "uploading", assetsErrorMessage: undefined };
}

/** A scene's status, derived from what its sidecars report. */
import type { Doc } from "../_generated/dataModel";
import type { MutationCtx } from "../_generated/server";
import { newestEpoch } from "./epochs";
import type { AssetsStatus } from "./shapes";

/** A sidecar that wrote nothing for so long counts as gone: a scene does not wait for it. */
const SILENCE_MS = 15 * 60_000;
/** More sidecars than this never share one scene. */
const SIDECARS_MAX = 100;

type Status = { assetsStatus: AssetsStatus; assetsErrorMessage: string | undefined };

/** Ready once every live sidecar says complete and owes nothing; an error of any of them is the scene's. */
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
  return statusOf(rows.filter((_, i) => live[i]));
}

async function isLive(ctx: MutationCtx, facts: Doc<"sceneFacts">, now: number): Promise<boolean> {
  if (now - facts.updatedAt < SILENCE_MS) return true;
  const epoch = await newestEpoch(ctx, facts.producer);
  return epoch !== null && now - epoch.lastSeenAt < SILENCE_MS;
}

function statusOf(facts: Pick<Doc<"sceneFacts">, "complete" | "owed" | "error">[]): Status {
  const failed = facts.find((row) => row.error !== null);
  if (failed !== undefined) return { assetsStatus: "error", assetsErrorMessage: failed.error ?? undefined };
  const done = facts.length > 0 && facts.every((row) => row.complete && row.owed === 0);
  return { assetsStatus: done ? "ready" : "uploading", assetsErrorMessage: undefined };
}

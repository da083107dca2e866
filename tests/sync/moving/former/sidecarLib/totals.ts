/**
 * A session's totals: the sum of one small row per (session, producer), each written by its producer alone, and of a
 * base row for what nobody wrote or what producers that are gone had written. Nothing is summed behind the writers'
 * backs, so the sum is exact in every transaction, and two writers of one session never meet in it.
 */
import type { Doc } from "../_generated/dataModel";
import type { MutationCtx, QueryCtx } from "../_generated/server";
import { EMPTIED, type AssetsStatus } from "./shapes";

/** The producer of a session's base row. */
export const BASE = "";

export type Sum = Pick<Doc<"sidecarCounters">, "bytes" | "assets" | "entities" | "scenes" | "ready" | "failed">;
type Counted = Pick<Doc<"entityTotals">, "entityType" | "bytes" | "count" | "status">;

export const nothing = (): Sum => ({ bytes: 0, assets: 0, entities: 0, scenes: 0, ready: 0, failed: 0 });

/** What an entity adds to its session. Nobody waits for one whose assets were all removed. */
export function contribution(row: Counted | null): Sum {
  if (row === null || row.status === EMPTIED) return nothing();
  const scenes = row.entityType === "scene" ? 1 : 0;
  const ready = row.status === "ready" ? scenes : 0;
  const failed = row.status === "error" ? scenes : 0;
  return { bytes: row.bytes, assets: row.count, entities: 1, scenes, ready, failed };
}

export function plus(one: Sum, other: Sum, sign: 1 | -1 = 1): Sum {
  return {
    bytes: one.bytes + sign * other.bytes,
    assets: one.assets + sign * other.assets,
    entities: one.entities + sign * other.entities,
    scenes: one.scenes + sign * other.scenes,
    ready: one.ready + sign * other.ready,
    failed: one.failed + sign * other.failed,
  };
}

/** Adds to a producer's row of a session; writes nothing where nothing changed. */
export async function addTo(
  ctx: MutationCtx,
  { sessionId, producer }: { sessionId: string; producer: string },
  delta: Sum,
): Promise<void> {
  if (Object.values(delta).every((number) => number === 0)) return;
  const row = await ctx.db
    .query("sidecarCounters")
    .withIndex("by_session", (q) => q.eq("sessionId", sessionId).eq("producer", producer))
    .unique();
  const updatedAt = Date.now();
  if (row === null) await ctx.db.insert("sidecarCounters", { sessionId, producer, ...delta, updatedAt });
  else await ctx.db.patch("sidecarCounters", row._id, { ...plus(row, delta), updatedAt });
}

/** For your own functions, too: `assetsStatus` is ready once there are scenes and all of them are. */
export async function sessionTotals(ctx: Pick<QueryCtx, "db">, sessionId: string) {
  let sum = nothing();
  let updatedAt = 0;
  for await (const row of ctx.db
    .query("sidecarCounters")
    .withIndex("by_session", (q) => q.eq("sessionId", sessionId))) {
    sum = plus(sum, row);
    updatedAt = Math.max(updatedAt, row.updatedAt);
  }
  const { bytes, assets, scenes, ready } = sum;
  return {
    ...{ totalAssetSize: bytes, assetCount: assets, sceneCount: scenes, readyCount: ready },
    assetsStatus: statusOf(sum),
    updatedAt,
  };
}

function statusOf({ entities, scenes, ready, failed }: Sum): AssetsStatus {
  if (entities === 0) return "pending";
  if (failed > 0) return "error";
  return scenes > 0 && ready === scenes ? "ready" : "uploading";
}

/** Moves the rows of a producer that is gone into the base rows; true while more are left. */
export async function fold(ctx: MutationCtx, producer: string, most: number): Promise<boolean> {
  const rows = await ctx.db
    .query("sidecarCounters")
    .withIndex("by_producer", (q) => q.eq("producer", producer))
    .take(most);
  for (const row of rows) {
    await addTo(ctx, { sessionId: row.sessionId, producer: BASE }, plus(nothing(), row));
    await ctx.db.delete("sidecarCounters", row._id);
  }
  return rows.length === most;
}

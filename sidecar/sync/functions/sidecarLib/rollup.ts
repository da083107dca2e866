/**
 * A session's totals, summed behind the writers' backs so that no document is written by every sidecar.
 *
 * Two steps, so that no update is lost: `begin` removes the marker, `compute` starts after that commit.
 * An op that found the marker committed before `begin`, so `compute` sees it; an op that did not find
 * it asks for the next rollup.
 */
import { v } from "convex/values";
import { internal } from "../_generated/api";
import type { Doc } from "../_generated/dataModel";
import { internalMutation, internalQuery } from "../_generated/server";
import { sessionRow } from "./rows";
import { assetsStatus, EMPTIED, type AssetsStatus } from "./shapes";

const totals = v.object({
  totalAssetSize: v.number(),
  assetCount: v.number(),
  sceneCount: v.number(),
  readyCount: v.number(),
  assetsStatus,
});

export const begin = internalMutation({
  args: { sessionId: v.string() },
  returns: v.null(),
  handler: async (ctx, { sessionId }) => {
    const jobs = await ctx.db
      .query("rollupJobs")
      .withIndex("by_session", (q) => q.eq("sessionId", sessionId))
      .take(10);
    for (const job of jobs) await ctx.db.delete("rollupJobs", job._id);
    await ctx.scheduler.runAfter(0, internal.sidecarLib.rollup.compute, { sessionId });
    return null;
  },
});

/** The sum reads a snapshot: it never conflicts with the sidecars that write meanwhile. */
export const compute = internalMutation({
  args: { sessionId: v.string() },
  returns: v.null(),
  handler: async (ctx, { sessionId }) => {
    const session = await sessionRow(ctx, sessionId);
    if (session === null) return null;
    const sums: typeof totals.type = await ctx.runQuery(
      internal.sidecarLib.rollup.sum,
      { sessionId },
      { useStaleSnapshot: true },
    );
    await ctx.db.patch("videoSessions", session._id, { ...sums, updatedAt: Date.now() });
    return null;
  },
});

export const sum = internalQuery({
  args: { sessionId: v.string() },
  returns: totals,
  handler: async (ctx, { sessionId }) => {
    const rows: Doc<"entityTotals">[] = [];
    for await (const row of ctx.db
      .query("entityTotals")
      .withIndex("by_entity", (q) => q.eq("sessionId", sessionId))) {
      if (row.status !== EMPTIED) rows.push(row);
    }
    const scenes = rows.filter((row) => row.entityType === "scene");
    return {
      totalAssetSize: rows.reduce((bytes, row) => bytes + row.bytes, 0),
      assetCount: rows.reduce((count, row) => count + row.count, 0),
      sceneCount: scenes.length,
      readyCount: scenes.filter((row) => row.status === "ready").length,
      assetsStatus: statusOf(rows, scenes),
    };
  },
});

function statusOf(rows: Doc<"entityTotals">[], scenes: Doc<"entityTotals">[]): AssetsStatus {
  if (rows.length === 0) return "pending";
  if (scenes.some((row) => row.status === "error")) return "error";
  const ready = scenes.length > 0 && scenes.every((row) => row.status === "ready");
  return ready ? "ready" : "uploading";
}

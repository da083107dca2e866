/**
 * Who is alive. A sidecar's heartbeat is a row of its own, which no other writer reads; one scheduled job for each
 * sidecar looks at it every quarter of an hour. Of one that is gone, what it owes no longer holds its scenes up, and
 * they show since when they wait.
 */
import { v } from "convex/values";
import { internal } from "../_generated/api";
import type { Doc } from "../_generated/dataModel";
import { internalMutation, type MutationCtx } from "../_generated/server";
import { changeOf, newBatch } from "./batch";
import { saveChanges } from "./changes";
import { scheduleCollection } from "./collection";
import { sceneRow } from "./rows";
import { tagOf } from "./tags";
import { BASE, fold } from "./totals";

/** A sidecar that was not heard of for so long is gone. */
export const SILENCE_MS = 15 * 60_000;
/** A heartbeat is written no more often. */
const BEAT_MS = SILENCE_MS / 15;
const ROWS_PER_STEP = 50;

type Facts = Doc<"sceneFacts">;
type Heartbeat = Doc<"sidecarHeartbeats">;

/**
 * Notes that a sidecar is alive; whoever was gone and is back has its scenes looked at again. True if it wrote, which
 * is once a minute at most.
 */
export async function beat(ctx: MutationCtx, producer: string): Promise<boolean> {
  const row = await heartbeatOf(ctx, producer);
  const now = Date.now();
  if (row !== null && row.goneSince === undefined && now - row.seenAt < BEAT_MS) return false;
  const tag = row?.tag ?? (await tagOf(producer));
  if (row === null) await ctx.db.insert("sidecarHeartbeats", { producer, seenAt: now, tag });
  else await ctx.db.patch("sidecarHeartbeats", row._id, { seenAt: now, goneSince: undefined, tag });
  if (row !== null && row.goneSince === undefined) return true;
  await ctx.scheduler.runAfter(SILENCE_MS, internal.lib.liveness.watch, { producer });
  await ctx.scheduler.runAfter(0, internal.lib.liveness.revive, { producer });
  return true;
}

/** One job for each sidecar that is not known to be gone: `beat` starts it, and it goes on by itself. */
export const watch = internalMutation({
  args: { producer: v.string() },
  returns: v.null(),
  handler: async (ctx, { producer }) => {
    const row = await heartbeatOf(ctx, producer);
    if (row === null || row.goneSince !== undefined) return null;
    const left = row.seenAt + SILENCE_MS - Date.now();
    if (left > 0) {
      await ctx.scheduler.runAfter(left, internal.lib.liveness.watch, { producer });
      return null;
    }
    await markGone(ctx, row);
    return null;
  },
});

/** Sidecars whose job was lost, as one that failed for good is: they were silent for twice as long as it waits. */
export async function unwatched(ctx: MutationCtx, most: number): Promise<Heartbeat[]> {
  return await ctx.db
    .query("sidecarHeartbeats")
    .withIndex("by_silence", (q) => q.eq("goneSince", undefined).lt("seenAt", Date.now() - 2 * SILENCE_MS))
    .take(most);
}

export async function markGone(ctx: MutationCtx, { _id, producer, seenAt }: Heartbeat): Promise<void> {
  await ctx.db.patch("sidecarHeartbeats", _id, { goneSince: seenAt });
  await ctx.scheduler.runAfter(0, internal.lib.liveness.bury, { producer });
  await scheduleCollection(ctx, producer);
}

/** Marks what a sidecar that is gone still owes or failed at, and folds its counters, a bounded number of rows at a time. */
export const bury = internalMutation({
  args: { producer: v.string() },
  returns: v.null(),
  handler: async (ctx, { producer }) => {
    const goneSince = (await heartbeatOf(ctx, producer))?.goneSince;
    if (goneSince === undefined) return null;
    const owed = [...(await unfinished(ctx, producer, false)), ...(await unfinished(ctx, producer, true))];
    owed.push(...(await failed(ctx, producer)));
    for (const row of owed) await ctx.db.patch("sceneFacts", row._id, { goneSince });
    await lookAgain(ctx, owed);
    const isMore = await fold(ctx, producer, ROWS_PER_STEP);
    if (owed.length > 0 || isMore) {
      await ctx.scheduler.runAfter(0, internal.lib.liveness.bury, { producer });
    }
    return null;
  },
});

/** Takes the mark back from a sidecar that was only away. */
export const revive = internalMutation({
  args: { producer: v.string() },
  returns: v.null(),
  handler: async (ctx, { producer }) => {
    if ((await heartbeatOf(ctx, producer))?.goneSince !== undefined) return null;
    const rows = await ctx.db
      .query("sceneFacts")
      .withIndex("by_gone", (q) => q.eq("producer", producer).gt("goneSince", 0))
      .take(ROWS_PER_STEP);
    for (const row of rows) await ctx.db.patch("sceneFacts", row._id, { goneSince: undefined });
    await lookAgain(ctx, rows);
    if (rows.length > 0) await ctx.scheduler.runAfter(0, internal.lib.liveness.revive, { producer });
    return null;
  },
});

/** Derives the status of the scenes of these facts anew. */
async function lookAgain(ctx: MutationCtx, facts: Facts[]): Promise<void> {
  for (const { sessionId, sceneId } of facts) {
    const scene = await sceneRow(ctx, sessionId, sceneId);
    if (scene === null) continue;
    const of = { producer: BASE, keys: "anything" as const, now: Date.now() };
    const batch = newBatch({ sessionId, projectId: scene.projectId, epoch: 0, ackedSeq: 0 }, of);
    changeOf(batch, "scene", sceneId).factsChanged = true;
    await saveChanges(ctx, batch);
  }
}

/** Facts that are not marked and not the last word: incomplete, or complete and something is owed. */
async function unfinished(ctx: MutationCtx, producer: string, complete: boolean): Promise<Facts[]> {
  const rows = ctx.db
    .query("sceneFacts")
    .withIndex("by_gone", (q) => {
      const of = q.eq("producer", producer).eq("goneSince", undefined).eq("error", null).eq("complete", complete);
      return complete ? of.gt("owed", 0) : of;
    });
  return await rows.take(ROWS_PER_STEP);
}

/** Facts with an error that are not marked: once marked, others may make it good. */
async function failed(ctx: MutationCtx, producer: string): Promise<Facts[]> {
  return await ctx.db
    .query("sceneFacts")
    .withIndex("by_gone", (q) => q.eq("producer", producer).eq("goneSince", undefined).gt("error", null))
    .take(ROWS_PER_STEP);
}

async function heartbeatOf(ctx: MutationCtx, producer: string): Promise<Doc<"sidecarHeartbeats"> | null> {
  return await ctx.db
    .query("sidecarHeartbeats")
    .withIndex("by_producer", (q) => q.eq("producer", producer))
    .unique();
}

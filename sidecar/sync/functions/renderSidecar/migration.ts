/**
 * The component's part of `sidecar convex migrate`: it keeps how far the move has come, and reads and writes rows of
 * every table as text. The application's part, which takes each step, is sidecarMigration.ts.
 */
import { v, type Infer } from "convex/values";
import { internal } from "./_generated/api";
import { mutation, query, type MutationCtx } from "./_generated/server";
import { startBackfill } from "./lib/backfill";
import { endDeletions, resumeDeletions } from "./lib/endedDeletions";
import { SILENCE_MS } from "./lib/liveness";
import { canonical, JOBS_PER_STEP, MOVED, ROWS_PER_STEP, stateFields } from "./lib/moving";
import { defined } from "./lib/optional";

const page = v.object({ rows: v.array(v.string()), cursor: v.string(), isDone: v.boolean() });
const table = v.union(...MOVED.map((name) => v.literal(name)));
type Table = Infer<typeof table>;

/** How far the move has come; null before the first. */
export const state = query({
  args: {},
  returns: v.union(v.null(), v.object(stateFields)),
  handler: async (ctx) => {
    const row = await ctx.db.query("migrations").first();
    if (row === null) return null;
    return defined({ ...row, _id: undefined, _creationTime: undefined });
  },
});

export const save = mutation({
  args: stateFields,
  returns: v.null(),
  handler: async (ctx, fields) => {
    const row = await ctx.db.query("migrations").first();
    if (row === null) await ctx.db.insert("migrations", fields);
    else await ctx.db.replace("migrations", row._id, fields);
    return null;
  },
});

/** Does any table hold a row? */
export const isEmpty = query({
  args: {},
  returns: v.boolean(),
  handler: async (ctx) => {
    for (const name of MOVED) if ((await ctx.db.query(name).first()) !== null) return false;
    return true;
  },
});

/** Rows in the order of their creation; a cursor is the last one's time, and how many of that time were read. */
export const read = query({
  args: { table, cursor: v.union(v.string(), v.null()), most: v.number() },
  returns: page,
  handler: async (ctx, { table, cursor, most }) => {
    const [time, count] = cursor === null ? [0, 0] : (JSON.parse(cursor) as [number, number]);
    const found = await ctx.db
      .query(table)
      .withIndex("by_creation_time", (q) => q.gte("_creationTime", time))
      .take(count + most);
    const rows = found.slice(count);
    const last = rows.at(-1)?._creationTime ?? time;
    const ofLast = found.filter((row) => row._creationTime === last).length;
    return { rows: rows.map(canonical), cursor: JSON.stringify([last, ofLast]), isDone: rows.length < most };
  },
});

export const write = mutation({
  args: { table, rows: v.array(v.string()) },
  returns: v.null(),
  handler: async (ctx, { table, rows }) => {
    // the table's schema is what checks a row
    for (const row of rows) await ctx.db.insert(table, JSON.parse(row) as never);
    return null;
  },
});

/** Deletes some rows; true once there is none. Tombstones of sessions went away as those of their scenes. */
export const clear = mutation({
  args: { table },
  returns: v.boolean(),
  handler: async (ctx, { table }) => {
    const rows = await ctx.db.query(table).take(ROWS_PER_STEP);
    for (const row of rows) await ctx.db.delete(table, row._id);
    const sessions = table === "deletedScenes" ? await ctx.db.query("deletedSessions").take(ROWS_PER_STEP) : [];
    for (const row of sessions) await ctx.db.delete("deletedSessions", row._id);
    return rows.length < ROWS_PER_STEP && sessions.length < ROWS_PER_STEP;
  },
});

/**
 * Cancels the jobs that write the moved tables, some rows at a time; `found` counts those that had not ended. A session's
 * deletion comes to its end instead: the other side could not go on with it.
 */
export const stopJobs = mutation({
  args: { after: v.number() },
  returns: v.object({ after: v.number(), found: v.number(), isDone: v.boolean() }),
  handler: async (ctx, { after }) => {
    const rows = await ctx.db.system
      .query("_scheduled_functions")
      .withIndex("by_creation_time", (q) => q.gt("_creationTime", after))
      .take(JOBS_PER_STEP);
    const open = rows.filter(({ name, state: { kind } }) => {
      return !name.startsWith("lib/callbacks") && (kind === "pending" || kind === "inProgress");
    });
    for (const { _id, name } of open) if (!name.startsWith("lib/sessionDeletion")) await ctx.scheduler.cancel(_id);
    const isDone = rows.length < JOBS_PER_STEP;
    const isLeft = isDone && open.length === 0 && (await endDeletions(ctx));
    return { after: rows.at(-1)?._creationTime ?? after, found: open.length + (isLeft ? 1 : 0), isDone };
  },
});

/**
 * Begins the jobs that go with some rows of a table; a job that had nothing left to do ends at once. No sidecar was
 * heard while their calls were refused, so their silence is counted from now.
 */
export const startJobs = mutation({
  args: { table, cursor: v.union(v.string(), v.null()) },
  returns: v.object({ cursor: v.string(), isDone: v.boolean() }),
  handler: async (ctx, { table, cursor }) => {
    const time = cursor === null ? 0 : Number(cursor);
    const after = await startJobsOf(ctx, table, time);
    return { cursor: String(after ?? time), isDone: after === null };
  },
});

async function startJobsOf(ctx: MutationCtx, table: Table, time: number): Promise<number | null> {
  if (table === "sidecarHeartbeats") return await watchAgain(ctx, time);
  if (table === "deletedScenes") return await purgeAgain(ctx, time);
  if (table === "sidecarEpochs") await startBackfill(ctx);
  return null;
}

async function watchAgain(ctx: MutationCtx, time: number): Promise<number | null> {
  const rows = await ctx.db
    .query("sidecarHeartbeats")
    .withIndex("by_creation_time", (q) => q.gt("_creationTime", time))
    .take(ROWS_PER_STEP);
  for (const { _id, producer, goneSince } of rows) {
    if (goneSince === undefined) {
      await ctx.db.patch("sidecarHeartbeats", _id, { seenAt: Date.now() });
      await ctx.scheduler.runAfter(SILENCE_MS, internal.lib.liveness.watch, { producer });
      await ctx.scheduler.runAfter(0, internal.lib.liveness.revive, { producer });
    } else {
      await ctx.scheduler.runAfter(0, internal.lib.liveness.bury, { producer });
      await ctx.scheduler.runAfter(0, internal.lib.collection.collect, { producer });
    }
  }
  return rows.at(-1)?._creationTime ?? null;
}

async function purgeAgain(ctx: MutationCtx, time: number): Promise<number | null> {
  if (time === 0) await resumeDeletions(ctx);
  const rows = await ctx.db
    .query("deletedScenes")
    .withIndex("by_creation_time", (q) => q.gt("_creationTime", time))
    .take(ROWS_PER_STEP);
  for (const { sessionId, sceneId, purgedAt } of rows) {
    if (purgedAt === undefined) await ctx.scheduler.runAfter(0, internal.lib.deletion.purge, { sessionId, sceneId });
  }
  return rows.at(-1)?._creationTime ?? null;
}

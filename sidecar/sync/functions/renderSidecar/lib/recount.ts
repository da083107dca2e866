/**
 * Counts what the totals of a session are the sum of, step by step, and sets them right. Each entity is compared with
 * its assets in one transaction; the sum with the counters in the last one, unless they moved since the first.
 */
import type { Doc } from "../_generated/dataModel";
import type { MutationCtx } from "../_generated/server";
import { projectOf, requireProject } from "./auth";
import { fail } from "./errors";
import { pageOf } from "./pages";
import { sceneRow } from "./rows";
import { EMPTIED, type Caller, type RecountProgress, type RecountResult } from "./shapes";
import { addTo, BASE, contribution, countersOf, isNothing, nothing, plus } from "./totals";

const ENTITIES_PER_STEP = 50;
const ASSETS_PER_STEP = 4_000;

export async function recount(
  ctx: MutationCtx,
  caller: Caller,
  { sessionId, progress }: { sessionId: string; progress: RecountProgress | null },
): Promise<RecountResult> {
  requireProject(caller, (await projectOf(ctx, sessionId)) ?? "");
  const begun = progress ?? { cursor: null, counted: nothing(), before: await countersOf(ctx, sessionId), wrong: 0 };
  const { rows, cursor } = await nextEntities(ctx, sessionId, begun.cursor);
  let { counted, wrong } = begun;
  for (const { row, bytes, count } of rows) {
    const right = await corrected(ctx, row, { bytes, count });
    if (right !== row) wrong += 1;
    counted = plus(counted, contribution(right));
  }
  if (cursor !== null) return { outcome: "more", progress: { ...begun, cursor, counted, wrong }, wrong };
  return { outcome: await settle(ctx, sessionId, { ...begun, counted, wrong }), progress: null, wrong };
}

/** As many of them as one transaction may look at, with what their assets add up to. */
async function nextEntities(ctx: MutationCtx, sessionId: string, cursor: string | null) {
  const found = await pageOf(
    {
      read: (narrow) => ctx.db.query("entityTotals").withIndex("by_entity", (q) => narrow(q.eq("sessionId", sessionId))),
      key: ["entityType", "entityId"],
    },
    { cursor, numItems: ENTITIES_PER_STEP },
  );
  const rows: { row: Doc<"entityTotals">; bytes: number; count: number }[] = [];
  let seen = 0;
  for (const row of found.page) {
    const sum = await assetsOf(ctx, row);
    if (rows.length > 0 && seen + sum.count > ASSETS_PER_STEP) {
      const last = rows.at(-1)!.row;
      return { rows, cursor: JSON.stringify([last.entityType, last.entityId]) };
    }
    seen += sum.count;
    rows.push({ row, ...sum });
  }
  return { rows, cursor: found.isDone ? null : found.continueCursor };
}

async function assetsOf(ctx: MutationCtx, { sessionId, entityType, entityId }: Doc<"entityTotals">) {
  let [bytes, count] = [0, 0];
  for await (const asset of ctx.db
    .query("assets")
    .withIndex("by_entity", (q) =>
      q.eq("sessionId", sessionId).eq("entityType", entityType).eq("entityId", entityId),
    )) {
    bytes += asset.size;
    count += 1;
    if (count > 2 * ASSETS_PER_STEP) fail("TOO_MANY", `${entityType} "${entityId}" has more assets than one step counts`);
  }
  return { bytes, count };
}

/** The row itself where it is right. */
async function corrected(
  ctx: MutationCtx,
  row: Doc<"entityTotals">,
  { bytes, count }: { bytes: number; count: number },
): Promise<Doc<"entityTotals">> {
  if (row.bytes === bytes && row.count === count && row.counted === true) return row;
  const scene = row.entityType === "scene" ? await sceneRow(ctx, row.sessionId, row.entityId) : null;
  const shown = row.entityType === "scene" ? scene?.assetsStatus : "session";
  const status = row.status === EMPTIED && count > 0 ? (shown ?? row.status) : row.status;
  const right = { ...row, bytes, count, status, counted: true };
  await ctx.db.replace("entityTotals", row._id, right);
  return right;
}

async function settle(
  ctx: MutationCtx,
  sessionId: string,
  { before, counted }: RecountProgress,
): Promise<RecountResult["outcome"]> {
  const now = await countersOf(ctx, sessionId);
  const { updatedAt, ...sum } = now;
  const { updatedAt: since, ...past } = before;
  if (updatedAt !== since || !isNothing(plus(sum, past, -1))) return "changed";
  const missing = plus(counted, sum, -1);
  await addTo(ctx, { sessionId, producer: BASE }, missing);
  return isNothing(missing) ? "exact" : "mended";
}

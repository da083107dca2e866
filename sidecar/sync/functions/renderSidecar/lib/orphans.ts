/** Assets of which nothing tells any more: the application deleted their scene's or session's document by itself. */
import type { Doc } from "../_generated/dataModel";
import type { MutationCtx } from "../_generated/server";
import { requireProject } from "./auth";
import { pageOf } from "./pages";
import { toAssetReference } from "./references";
import { sceneRow, sessionRow } from "./rows";
import type { Caller } from "./shapes";
import { addTo, BASE, contribution, nothing, plus } from "./totals";

/** No op waits for longer: whatever it was sent for may still come and make its document. */
const WAITING_MS = 24 * 60 * 60_000;
const ROWS_PER_STEP = 100;

/**
 * The next orphans of a project, and where to go on; they are removed unless `dryRun`. Their versions stay and name the
 * objects. Deciding and removing are one transaction, so that nothing that came meanwhile is taken along.
 */
export async function cleanupOrphans(
  ctx: MutationCtx,
  backend: Caller,
  { projectId, dryRun, cursor }: { projectId: string; dryRun: boolean; cursor: string | null },
) {
  requireProject(backend, projectId);
  const { page, isDone, continueCursor } = await pageOf(
    {
      read: (narrow) => ctx.db.query("assets").withIndex("by_project", (q) => narrow(q.eq("projectId", projectId))),
      key: ["sessionId", "entityType", "entityId", "order", "name", "assetType"],
    },
    { cursor, numItems: ROWS_PER_STEP },
  );
  const orphans: Doc<"assets">[] = [];
  for (const row of page) if (await isOrphan(ctx, row)) orphans.push(row);
  if (!dryRun) for (const row of orphans) await remove(ctx, row);
  return { orphans: await Promise.all(orphans.map(toAssetReference)), cursor: isDone ? null : continueCursor };
}

async function isOrphan(ctx: MutationCtx, row: Doc<"assets">): Promise<boolean> {
  if (row.updatedAt > Date.now() - WAITING_MS) return false;
  if ((await sessionRow(ctx, row.sessionId)) === null) return true;
  return row.entityType === "scene" && (await sceneRow(ctx, row.sessionId, row.entityId)) === null;
}

/** Not as a sidecar's op removes one: no document is to be made anew. */
async function remove(ctx: MutationCtx, row: Doc<"assets">): Promise<void> {
  const { sessionId, entityType, entityId } = row;
  await ctx.db.delete("assets", row._id);
  const totals = await ctx.db
    .query("entityTotals")
    .withIndex("by_entity", (q) => q.eq("sessionId", sessionId).eq("entityType", entityType).eq("entityId", entityId))
    .unique();
  if (totals === null) return;
  const after = { ...totals, bytes: totals.bytes - row.size, count: totals.count - 1 };
  if (after.count > 0) await ctx.db.replace("entityTotals", totals._id, after);
  else await ctx.db.delete("entityTotals", totals._id);
  if (!totals.counted) return;
  const left = after.count > 0 ? contribution(after) : nothing();
  await addTo(ctx, { sessionId, producer: BASE }, plus(left, contribution(totals), -1));
}

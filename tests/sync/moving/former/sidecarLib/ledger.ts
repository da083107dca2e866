/** The rows of `appliedOps`: what was applied, in which order, and which rows are no longer needed. */
import type { Doc } from "../_generated/dataModel";
import type { MutationCtx } from "../_generated/server";
import type { Batch } from "./batch";
import type { Op } from "./shapes";

/** Rows deleted beyond those that the call itself made, so that a backlog shrinks with every call. */
const PRUNE_ROWS = 200;

type Place = { epoch: number; seq: number };

export function isOlder(one: Place, other: Place): boolean {
  return one.epoch < other.epoch || (one.epoch === other.epoch && one.seq < other.seq);
}

/** The newest op of a slot by this producer. */
export async function newestOfSlot(
  ctx: MutationCtx,
  producer: string,
  slot: string,
): Promise<Doc<"appliedOps"> | null> {
  return await ctx.db
    .query("appliedOps")
    .withIndex("by_slot", (q) => q.eq("producer", producer).eq("slot", slot).eq("latest", true))
    .unique();
}

/** Writes an op's row; the slot's former newest row goes at once if nothing can ask for it any more. */
export async function remember(
  ctx: MutationCtx,
  batch: Batch,
  done: {
    op: Op;
    slot: string;
    content: string;
    version: number | undefined;
    newest: Doc<"appliedOps"> | null;
    late: boolean;
  },
): Promise<void> {
  const { op, slot, content, version, newest, late } = done;
  const { producer, epoch } = batch;
  const row = { producer, opId: op.opId, epoch, seq: op.seq, slot, content, latest: !late };
  await ctx.db.insert("appliedOps", version === undefined ? row : { ...row, version });
  if (late || newest === null) return;
  if (isSettled(newest, batch)) await ctx.db.delete("appliedOps", newest._id);
  else await ctx.db.patch("appliedOps", newest._id, { latest: false });
}

/** Deletes a bounded number of rows that no retry can name: settled ones and those of fenced epochs. */
export async function prune(ctx: MutationCtx, batch: Batch): Promise<void> {
  const fenced = await ctx.db
    .query("appliedOps")
    .withIndex("by_seq", (q) =>
      q.eq("producer", batch.producer).eq("latest", false).lt("epoch", batch.epoch),
    )
    .take(PRUNE_ROWS);
  const settled = await ctx.db
    .query("appliedOps")
    .withIndex("by_seq", (q) =>
      q
        .eq("producer", batch.producer)
        .eq("latest", false)
        .eq("epoch", batch.epoch)
        .lte("seq", batch.ackedSeq),
    )
    .take(PRUNE_ROWS);
  for (const row of [...fenced, ...settled]) await ctx.db.delete("appliedOps", row._id);
}

function isSettled(row: Place, batch: Batch): boolean {
  return row.epoch < batch.epoch || row.seq <= batch.ackedSeq;
}

/** Every asset of a scene or a session, reactive. */
import { paginationOptsValidator, paginationResultValidator } from "convex/server";
import { v } from "convex/values";
import type { Doc } from "./_generated/dataModel";
import { query, type QueryCtx } from "./_generated/server";
import { assetRule, readableSession } from "./sidecarLib/access";
import { fail } from "./sidecarLib/errors";
import { contiguous } from "./sidecarLib/order";
import { toAssetReference } from "./sidecarLib/references";
import { isSegment, sceneRow } from "./sidecarLib/rows";
import { assetReference, entityType } from "./sidecarLib/shapes";

const CHUNKS_MAX = 2000;
const chunkList = v.object({
  chunks: v.array(assetReference),
  contiguous: v.number(), // how many of them, from the first one on, may be played already
  expected: v.union(v.number(), v.null()), // how many there will be; null while nobody knows
  isComplete: v.boolean(), // the scene is ready, and nothing is missing
});

/** By index, then name; assets without an index come last. */
export const byEntity = query({
  args: {
    sessionId: v.string(),
    entityType,
    entityId: v.string(),
    paginationOpts: paginationOptsValidator,
  },
  returns: paginationResultValidator(assetReference),
  handler: async (ctx, { sessionId, entityType, entityId, paginationOpts }) => {
    const session = await readableSession(ctx, sessionId);
    if (session === null) {
      return { page: [], isDone: true, continueCursor: "" };
    }
    const result = await ctx.db
      .query("assets")
      .withIndex("by_entity", (q) =>
        q.eq("sessionId", sessionId).eq("entityType", entityType).eq("entityId", entityId),
      )
      .paginate(paginationOpts);
    const isReadable = await assetRule(ctx, session);
    const shown = await Promise.all(result.page.map(isReadable));
    const page = result.page.filter((_, i) => shown[i]);
    return { ...result, page: await Promise.all(page.map(toAssetReference)) };
  },
});

/**
 * The video chunks of a scene in the order in which they are played: by index, then name. `first` is the index at
 * which numbering begins, 0 unless said otherwise. Throws TOO_MANY for more than 2,000 chunks: see byEntity.
 */
export const chunks = query({
  args: { sessionId: v.string(), sceneId: v.string(), first: v.optional(v.number()) },
  returns: chunkList,
  handler: async (ctx, { sessionId, sceneId, first }) => {
    const session = await readableSession(ctx, sessionId);
    const scene = session && (await sceneRow(ctx, sessionId, sceneId));
    if (session === null || scene === null) {
      return { chunks: [], contiguous: 0, expected: null, isComplete: false };
    }
    const played = await playedChunks(ctx, sessionId, sceneId);
    const isReadable = await assetRule(ctx, session);
    const shown = await Promise.all(played.map(isReadable));
    const readable = played.filter((_, i) => shown[i]);
    const isReady = scene.assetsStatus === "ready";
    const expected = scene.expectedChunks ?? (isReady ? played.length : null);
    const isComplete = isReady && played.length >= (expected ?? 0);
    const indexes = readable.map((row) => row.index);
    return {
      chunks: await Promise.all(readable.map(toAssetReference)),
      contiguous: contiguous(indexes, { first, isComplete }),
      expected,
      isComplete,
    };
  },
});

/** By index, then name. Segments and assets of other types, of which there may be very many, are not read. */
async function playedChunks(ctx: QueryCtx, sessionId: string, sceneId: string): Promise<Doc<"assets">[]> {
  const rows = await ctx.db
    .query("assets")
    .withIndex("by_choice", (q) => {
      const of = q.eq("sessionId", sessionId).eq("entityType", "scene").eq("entityId", sceneId);
      return of.eq("assetType", "video_chunk").lt("rank", 2);
    })
    .take(CHUNKS_MAX + 1);
  if (rows.length > CHUNKS_MAX) fail("TOO_MANY", `scene "${sceneId}" has more than ${CHUNKS_MAX} chunks`);
  const played = rows.filter((row) => !isSegment(row.name)); // rows of earlier versions have another rank
  return played.sort((one, other) => one.order - other.order || (one.name < other.name ? -1 : 1));
}

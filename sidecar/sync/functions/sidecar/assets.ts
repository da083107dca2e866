/** Every asset of a scene or a session, reactive. */
import { paginationOptsValidator } from "convex/server";
import { v } from "convex/values";
import { query } from "../_generated/server";
import { contiguous } from "../renderSidecar/lib/order";
import { assetReference, entityType, pageOfShape } from "../renderSidecar/lib/shapes";
import { component } from "./component";
import { asked, assetRule, noPage, readable, readableSession } from "./reading";

const chunkList = v.object({
  chunks: v.array(assetReference),
  contiguous: v.number(), // how many of them, from the first one on, may be played already
  expected: v.union(v.number(), v.null()), // how many there will be; null while nobody knows
  isComplete: v.boolean(), // the scene is ready, and nothing is missing
});
const noChunks = () => ({ chunks: [], contiguous: 0, expected: null, isComplete: false });

/** By index, then name; assets without an index come last. */
export const byEntity = query({
  args: {
    sessionId: v.string(),
    entityType,
    entityId: v.string(),
    paginationOpts: paginationOptsValidator,
  },
  returns: pageOfShape(assetReference),
  handler: async (ctx, { paginationOpts, ...of }) => {
    const session = await readableSession(ctx, of.sessionId);
    if (session === null) return noPage();
    const result = await ctx.runQuery(component.assets.byEntity, { ...of, ...asked(paginationOpts) });
    return { ...result, page: await readable(result.page, await assetRule(ctx, session)) };
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
    const found = session && (await ctx.runQuery(component.assets.chunks, { sessionId, sceneId }));
    if (session === null || found === null) return noChunks();
    const { expected, isComplete } = found;
    const shown = await readable(found.chunks, await assetRule(ctx, session));
    const indexes = shown.map((chunk) => chunk.index);
    return { chunks: shown, contiguous: contiguous(indexes, { first, isComplete }), expected, isComplete };
  },
});

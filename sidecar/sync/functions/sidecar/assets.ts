/** Every asset of a scene or a session, reactive, and the addresses at which a browser opens them. */
import { paginationOptsValidator } from "convex/server";
import { v } from "convex/values";
import { action, query } from "../_generated/server";
import { fail } from "../renderSidecar/lib/errors";
import { contiguous } from "../renderSidecar/lib/order";
import { assetReference, entityType, pageOfShape } from "../renderSidecar/lib/shapes";
import { component } from "./component";
import { asked, assetRule, noPage, readable, readableSession } from "./reading";
import { readableObjects } from "./signable";
import { accessUrl, addressFor, type AccessUrl } from "./urls";

const URLS_MAX = 100;
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

/**
 * Addresses at which the caller's browser opens these assets, at most 100, in order; null for an asset that is not
 * there or that the caller may not see. Access is checked now, and what `urlsOf` says holds: an address that was issued
 * opens until `expiresAt`, also after the right was taken away.
 */
export const accessUrls = action({
  args: { ids: v.array(v.string()) },
  returns: v.array(v.union(v.null(), accessUrl)),
  handler: async (ctx, { ids }): Promise<(AccessUrl | null)[]> => {
    if (ids.length > URLS_MAX) fail("BATCH_TOO_LARGE", `${ids.length} assets in one call; at most ${URLS_MAX}`);
    const objects = await ctx.runQuery(readableObjects, { ids });
    return await Promise.all(objects.map(async (object) => object && (await addressFor(object))));
  },
});

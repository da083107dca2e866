/** Every asset of a scene or a session. */
import { v } from "convex/values";
import type { Doc } from "./_generated/dataModel";
import { query, type QueryCtx } from "./_generated/server";
import { projectOf } from "./lib/auth";
import { fail } from "./lib/errors";
import { assetById, assetIdOf } from "./lib/identity";
import { pageArgs, pageOf } from "./lib/pages";
import { toAssetReference } from "./lib/references";
import { isDeleted, isSegment, sceneRow } from "./lib/rows";
import { assetReference, entityType, pageOfShape } from "./lib/shapes";

const CHUNKS_MAX = 2000;
const chunkList = v.object({
  chunks: v.array(assetReference),
  expected: v.union(v.number(), v.null()), // how many there will be; null while nobody knows
  isComplete: v.boolean(), // the scene is ready, and nothing is missing
});

/** By index, then name; assets without an index come last. */
export const byEntity = query({
  args: { sessionId: v.string(), entityType, entityId: v.string(), ...pageArgs },
  returns: pageOfShape(assetReference),
  handler: async (ctx, { sessionId, entityType, entityId, ...asked }) => {
    const found = await pageOf(
      {
        read: (narrow) =>
          ctx.db
            .query("assets")
            .withIndex("by_entity", (q) =>
              narrow(q.eq("sessionId", sessionId).eq("entityType", entityType).eq("entityId", entityId)),
            ),
        key: ["order", "name", "assetType"],
        name: {
          of: (row) => assetIdOf(row),
          find: async (id) => {
            const row = await assetById(ctx, id);
            return row?.sessionId === sessionId && row.entityType === entityType && row.entityId === entityId ? row : null;
          },
        },
      },
      asked,
    );
    return { ...found, page: await Promise.all(found.page.map(toAssetReference)) };
  },
});

/** The video chunks of a scene by index, then name; null without the scene. Throws TOO_MANY for more than 2,000. */
export const chunks = query({
  args: { sessionId: v.string(), sceneId: v.string() },
  returns: v.union(v.null(), chunkList),
  handler: async (ctx, { sessionId, sceneId }) => {
    const scene = await sceneRow(ctx, sessionId, sceneId);
    if (scene === null) return null;
    const played = await playedChunks(ctx, sessionId, sceneId);
    const isReady = scene.assetsStatus === "ready";
    const expected = scene.expectedChunks ?? (isReady ? played.length : null);
    return {
      chunks: await Promise.all(played.map(toAssetReference)),
      expected,
      isComplete: isReady && played.length >= (expected ?? 0),
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

/** Assets by their ids, in order; null for one that is not there, or whose scene is being deleted. */
export const byIds = query({
  args: { ids: v.array(v.string()) },
  returns: v.array(v.union(v.null(), assetReference)),
  handler: async (ctx, { ids }) => {
    const rows = await Promise.all(ids.map((id) => assetById(ctx, id)));
    return await Promise.all(
      rows.map(async (row) => (row === null || (await isGone(ctx, row)) ? null : await toAssetReference(row))),
    );
  },
});

async function isGone(ctx: QueryCtx, { entityType, sessionId, entityId }: Doc<"assets">): Promise<boolean> {
  return entityType === "scene" && (await isDeleted(ctx, sessionId, entityId));
}

/** The projects that sessions belong to, in order; null for one that nobody has written yet. */
export const projectsOfSessions = query({
  args: { sessionIds: v.array(v.string()) },
  returns: v.array(v.union(v.null(), v.string())),
  handler: async (ctx, { sessionIds }) => await Promise.all(sessionIds.map((id) => projectOf(ctx, id))),
});

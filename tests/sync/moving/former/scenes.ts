/** Scenes for players and editors, reactive. */
import {
  paginationOptsValidator,
  paginationResultValidator,
  type PaginationOptions,
  type PaginationResult,
  type RegisteredQuery,
} from "convex/server";
import { v, type Infer } from "convex/values";
import { internalMutation, query, type QueryCtx } from "./_generated/server";
import { assetRule, readableSession } from "./sidecarLib/access";
import { deleteScene } from "./sidecarLib/deletion";
import { fail } from "./sidecarLib/errors";
import { assetIdOf } from "./sidecarLib/identity";
import { sceneRow, toS3Asset } from "./sidecarLib/rows";
import { assetType, s3AssetFields, sceneFields, sceneListFields } from "./sidecarLib/shapes";
import { toListedScene, toScene } from "./sidecarLib/views";

const SCENES_MAX = 1000;
const system = { _id: v.id("scenes"), _creationTime: v.number() };
const scene = v.object({ ...system, ...sceneFields });
const listedScene = v.object({ ...system, ...sceneListFields });
const version = v.object({
  assetId: v.string(),
  assetType,
  name: v.string(),
  version: v.number(),
  ...s3AssetFields,
  createdAt: v.number(),
  expired: v.boolean(), // its object has gone, or is about to
});

/** Null for a scene that is not there, or that canReadSession refuses. */
export const get = query({
  args: { sessionId: v.string(), sceneId: v.string() },
  returns: v.union(v.null(), scene),
  handler: async (ctx, { sessionId, sceneId }) => {
    const session = await readableSession(ctx, sessionId);
    if (session === null) return null;
    const row = await sceneRow(ctx, sessionId, sceneId);
    return row && (await toScene(row, await assetRule(ctx, session)));
  },
});

/**
 * The scenes of a session in natural order (scene-2 before scene-10), without their history. A tab that was loaded
 * before there were pages asks without `paginationOpts` and gets its list: of at most 1,000, else TOO_MANY.
 */
export const bySession = query({
  args: { sessionId: v.string(), paginationOpts: v.optional(paginationOptsValidator) },
  returns: v.union(v.array(scene), paginationResultValidator(listedScene)),
  handler: async (ctx, { sessionId, paginationOpts }) =>
    paginationOpts === undefined ? await allScenes(ctx, sessionId) : await pageOf(ctx, sessionId, paginationOpts),
}) as unknown as RegisteredQuery<
  "public",
  { sessionId: string; paginationOpts: PaginationOptions },
  Promise<PaginationResult<Infer<typeof listedScene>>>
>;

async function pageOf(ctx: QueryCtx, sessionId: string, paginationOpts: PaginationOptions) {
  const session = await readableSession(ctx, sessionId);
  if (session === null) return { page: [], isDone: true, continueCursor: "" };
  const result = await ctx.db
    .query("scenes")
    .withIndex("by_order", (q) => q.eq("sessionId", sessionId))
    .paginate(paginationOpts);
  const isReadable = await assetRule(ctx, session);
  return { ...result, page: await Promise.all(result.page.map((row) => toListedScene(row, isReadable))) };
}

async function allScenes(ctx: QueryCtx, sessionId: string) {
  const session = await readableSession(ctx, sessionId);
  if (session === null) return [];
  const rows = await ctx.db
    .query("scenes")
    .withIndex("by_session", (q) => q.eq("sessionId", sessionId))
    .take(SCENES_MAX + 1);
  if (rows.length > SCENES_MAX) fail("TOO_MANY", `more than ${SCENES_MAX} scenes: ask with paginationOpts`);
  const isReadable = await assetRule(ctx, session);
  return await Promise.all(rows.map((row) => toScene(row, isReadable)));
}

/** Every version that a slot of the scene ever held, by type and name, the newest of each first. */
export const sceneHistory = query({
  args: { sessionId: v.string(), sceneId: v.string(), paginationOpts: paginationOptsValidator },
  returns: paginationResultValidator(version),
  handler: async (ctx, { sessionId, sceneId, paginationOpts }) => {
    const session = await readableSession(ctx, sessionId);
    if (session === null || (await sceneRow(ctx, sessionId, sceneId)) === null) {
      return { page: [], isDone: true, continueCursor: "" };
    }
    const result = await ctx.db
      .query("assetVersions")
      .withIndex("by_slot", (q) =>
        q.eq("sessionId", sessionId).eq("entityType", "scene").eq("entityId", sceneId),
      )
      .order("desc")
      .paginate(paginationOpts);
    const isReadable = await assetRule(ctx, session);
    const shown = await Promise.all(result.page.map(isReadable));
    const page = result.page.filter((_, i) => shown[i]);
    return {
      ...result,
      page: await Promise.all(
        page.map(async (row) => {
          const { assetType, name, version, createdAt, expired } = row;
          return { assetId: await assetIdOf(row), assetType, name, version, ...toS3Asset(row), createdAt, expired };
        }),
      ),
    };
  },
});

/** Deletes a scene for good: a tombstone refuses whatever a sidecar still sends for it. */
export const remove = internalMutation({
  args: { sessionId: v.string(), sceneId: v.string() },
  returns: v.null(),
  handler: async (ctx, { sessionId, sceneId }) => {
    await deleteScene(ctx, sessionId, sceneId);
    return null;
  },
});

/** Scenes for players and editors, reactive. */
import {
  paginationOptsValidator,
  type PaginationOptions,
  type PaginationResult,
  type RegisteredQuery,
} from "convex/server";
import { v } from "convex/values";
import { internalMutation, query, type QueryCtx } from "../_generated/server";
import { listedScene, pageOfShape, pastVersion, scene, type ListedScene } from "../renderSidecar/lib/shapes";
import { component } from "./component";
import { asked, assetRule, noPage, readable, readableListedScene, readableScene, readableSession } from "./reading";

const sceneArgs = { sessionId: v.string(), sceneId: v.string() };

/** Null for a scene that is not there, or that canReadSession refuses. */
export const get = query({
  args: sceneArgs,
  returns: v.union(v.null(), scene),
  handler: async (ctx, { sessionId, sceneId }) => {
    const session = await readableSession(ctx, sessionId);
    if (session === null) return null;
    const found = await ctx.runQuery(component.scenes.get, { sessionId, sceneId });
    return found && (await readableScene(found, await assetRule(ctx, session)));
  },
});

/**
 * The scenes of a session in natural order (scene-2 before scene-10), without their history. A tab that was loaded
 * before there were pages asks without `paginationOpts` and gets its list: of at most 1,000, else TOO_MANY.
 */
export const bySession = query({
  args: { sessionId: v.string(), paginationOpts: v.optional(paginationOptsValidator) },
  returns: v.union(v.array(scene), pageOfShape(listedScene)),
  handler: async (ctx, { sessionId, paginationOpts }) =>
    paginationOpts === undefined ? await allScenes(ctx, sessionId) : await pageOf(ctx, sessionId, paginationOpts),
}) as unknown as RegisteredQuery<
  "public",
  { sessionId: string; paginationOpts: PaginationOptions },
  Promise<PaginationResult<ListedScene>>
>;

async function pageOf(ctx: QueryCtx, sessionId: string, paginationOpts: PaginationOptions) {
  const session = await readableSession(ctx, sessionId);
  if (session === null) return noPage();
  const result = await ctx.runQuery(component.scenes.bySession, { sessionId, ...asked(paginationOpts) });
  const isReadable = await assetRule(ctx, session);
  return { ...result, page: await Promise.all(result.page.map((one) => readableListedScene(one, isReadable))) };
}

async function allScenes(ctx: QueryCtx, sessionId: string) {
  const session = await readableSession(ctx, sessionId);
  if (session === null) return [];
  const found = await ctx.runQuery(component.scenes.all, { sessionId });
  const isReadable = await assetRule(ctx, session);
  return await Promise.all(found.map((one) => readableScene(one, isReadable)));
}

/** Every version that a slot of the scene ever held, by type and name, the newest of each first. */
export const sceneHistory = query({
  args: { ...sceneArgs, paginationOpts: paginationOptsValidator },
  returns: pageOfShape(pastVersion),
  handler: async (ctx, { sessionId, sceneId, paginationOpts }) => {
    const session = await readableSession(ctx, sessionId);
    if (session === null) return noPage();
    const result = await ctx.runQuery(component.scenes.history, { sessionId, sceneId, ...asked(paginationOpts) });
    const isReadable = await assetRule(ctx, session);
    const of = { entityType: "scene", entityId: sceneId } as const;
    return { ...result, page: await readable(result.page, (one) => isReadable({ ...one, ...of })) };
  },
});

/** Deletes a scene for good: a tombstone refuses whatever a sidecar still sends for it. */
export const remove = internalMutation({
  args: sceneArgs,
  returns: v.null(),
  handler: async (ctx, args) => await ctx.runMutation(component.scenes.remove, args),
});

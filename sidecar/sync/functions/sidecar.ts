/**
 * What sidecars call. Every public function has an internal twin for deployments that give their
 * sidecars a scoped deploy key instead of a JWT.
 */
import { v, type ObjectType } from "convex/values";
import { internalMutation, internalQuery, mutation, query, type MutationCtx, type QueryCtx } from "./_generated/server";
import { mayWrite } from "./renderSidecar/lib/auth";
import {
  assetPage,
  assetReference,
  contractWith,
  currentAsset,
  entityNameFields,
  failedCallback,
  leftObject,
  olderVersion,
  onUnknownEntity,
  op,
  opResult,
  orphanPage,
  recountProgress,
  recountResult,
  registration,
  removal,
  removalResult,
  scenePage,
  shownObject,
  slot,
  versionName,
  versionPage,
  viewer,
  type Caller,
} from "./renderSidecar/lib/shapes";
import { callbacks } from "./sidecar/callbacks";
import { deployedSidecar, requireBackend, requireSidecar, type Writer } from "./sidecar/callers";
import { component } from "./sidecar/component";
import { isReadableBy } from "./sidecar/reading";
import { keysFor, rulesFor } from "./sidecar/rules";

/** The newest contract that the caller speaks; those of the first one name none. */
const contractArgs = { contractVersion: v.optional(v.number()) };
const registerArgs = { sidecarId: v.string(), journalId: v.string(), ...contractArgs };
const applyArgs = {
  sidecarId: v.string(),
  projectId: v.string(),
  sessionId: v.string(),
  epoch: v.number(),
  ackedSeq: v.number(), // every op of this epoch up to this one is settled
  ops: v.array(op),
  onUnknownEntity: v.optional(onUnknownEntity),
};
const currentArgs = { slots: v.array(slot) };
const currentReturns = v.array(v.union(v.null(), currentAsset));
const pageArgs = { sidecarId: v.string(), cursor: v.union(v.string(), v.null()) };
const expireArgs = { sidecarId: v.string(), epoch: v.number(), versions: v.array(versionName) };
const beatArgs = { sidecarId: v.string(), epoch: v.number() };
const listArgs = { projectId: v.string(), cursor: v.union(v.string(), v.null()) };
const entityArgs = { ...listArgs, ...entityNameFields };
const idArgs = { ids: v.array(v.string()) };
const idReturns = v.array(v.union(v.null(), assetReference));
const keyArgs = { bucket: v.string(), keys: v.array(v.string()) };
const leftArgs = { ...keyArgs, projectIds: v.array(v.string()) };
const leftReturns = v.array(v.union(v.null(), leftObject));
const removeArgs = { projectId: v.string(), removals: v.array(removal) };
const cleanupArgs = { ...listArgs, dryRun: v.boolean() };
const expireAnyArgs = { projectId: v.string(), versions: v.array(versionName) };
const canReadArgs = { asset: v.string(), viewer };
const recountArgs = { sessionId: v.string(), progress: v.union(recountProgress, v.null()) };
const pong = v.object({ contractVersion: v.number() });

/** Announce a journal at every start: each new one gets the next epoch and fences the one before. */
export const register = mutation({
  args: registerArgs,
  returns: registration,
  handler: async (ctx, { sidecarId, ...journal }) =>
    await announce(ctx, await requireSidecar(ctx, sidecarId), journal),
});

export const registerInternal = internalMutation({
  args: registerArgs,
  returns: registration,
  handler: async (ctx, { sidecarId, ...journal }) => await announce(ctx, deployedSidecar(sidecarId), journal),
});

/** Apply at most 100 ops of one session in one transaction; one result per op, in order. */
export const applyAssets = mutation({
  args: applyArgs,
  returns: v.array(opResult),
  handler: async (ctx, { sidecarId, ...batch }) => await apply(ctx, await requireSidecar(ctx, sidecarId), batch),
});

export const applyAssetsInternal = internalMutation({
  args: applyArgs,
  returns: v.array(opResult),
  handler: async (ctx, { sidecarId, ...batch }) => await apply(ctx, deployedSidecar(sidecarId), batch),
});

/** What these slots hold now, in order; null for an empty one. */
export const currentAssets = query({
  args: currentArgs,
  returns: currentReturns,
  handler: async (ctx, { slots }) => await current(ctx, await requireSidecar(ctx), slots),
});

export const currentAssetsInternal = internalQuery({
  args: currentArgs,
  returns: currentReturns,
  handler: async (ctx, { slots }) => await current(ctx, deployedSidecar(), slots),
});

/** The scenes that this sidecar left unfinished, page by page, as `versions`. */
export const unfinishedScenes = query({
  args: pageArgs,
  returns: scenePage,
  handler: async (ctx, { sidecarId, cursor }) => await unfinished(ctx, await requireSidecar(ctx, sidecarId), cursor),
});

export const unfinishedScenesInternal = internalQuery({
  args: pageArgs,
  returns: scenePage,
  handler: async (ctx, { sidecarId, cursor }) => await unfinished(ctx, deployedSidecar(sidecarId), cursor),
});

/** The versions that this sidecar wrote, page by page; a null cursor begins, and ends. */
export const versions = query({
  args: pageArgs,
  returns: versionPage,
  handler: async (ctx, { sidecarId, cursor }) => await own(ctx, await requireSidecar(ctx, sidecarId), cursor),
});

export const versionsInternal = internalQuery({
  args: pageArgs,
  returns: versionPage,
  handler: async (ctx, { sidecarId, cursor }) => await own(ctx, deployedSidecar(sidecarId), cursor),
});

/** Mark at most 100 versions as expired, before their objects are deleted; tells which are. */
export const expire = mutation({
  args: expireArgs,
  returns: v.array(v.boolean()),
  handler: async (ctx, { sidecarId, ...given }) => await expireOwn(ctx, await requireSidecar(ctx, sidecarId), given),
});

export const expireInternal = internalMutation({
  args: expireArgs,
  returns: v.array(v.boolean()),
  handler: async (ctx, { sidecarId, ...given }) => await expireOwn(ctx, deployedSidecar(sidecarId), given),
});

/** A sign of life of a sidecar that has nothing to tell: after 15 minutes without any it counts as gone. */
export const heartbeat = mutation({
  args: beatArgs,
  returns: v.null(),
  handler: async (ctx, { sidecarId, epoch }) => await beat(ctx, await requireSidecar(ctx, sidecarId), epoch),
});

export const heartbeatInternal = internalMutation({
  args: beatArgs,
  returns: v.null(),
  handler: async (ctx, { sidecarId, epoch }) => await beat(ctx, deployedSidecar(sidecarId), epoch),
});

/** For a backend: every asset of a project, page by page, as `versions`. */
export const listByProject = query({
  args: listArgs,
  returns: assetPage,
  handler: async (ctx, args) =>
    await ctx.runQuery(component.sidecar.listByProject, { caller: await requireBackend(ctx), ...args }),
});

export const listByProjectInternal = internalQuery({
  args: listArgs,
  returns: assetPage,
  handler: async (ctx, args) =>
    await ctx.runQuery(component.sidecar.listByProject, { caller: deployedSidecar().caller, ...args }),
});

/** For a backend: every asset of a scene or a session, page by page, by index and then by name. */
export const listByEntity = query({
  args: entityArgs,
  returns: assetPage,
  handler: async (ctx, args) =>
    await ctx.runQuery(component.sidecar.listByEntity, { caller: await requireBackend(ctx), ...args }),
});

export const listByEntityInternal = internalQuery({
  args: entityArgs,
  returns: assetPage,
  handler: async (ctx, args) =>
    await ctx.runQuery(component.sidecar.listByEntity, { caller: deployedSidecar().caller, ...args }),
});

/** For a backend: at most 100 assets by their ids, in order; null for one that is not there. */
export const assetsById = query({
  args: idArgs,
  returns: idReturns,
  handler: async (ctx, { ids }) =>
    await ctx.runQuery(component.sidecar.assetsById, { caller: await requireBackend(ctx), ids }),
});

export const assetsByIdInternal = internalQuery({
  args: idArgs,
  returns: idReturns,
  handler: async (ctx, { ids }) =>
    await ctx.runQuery(component.sidecar.assetsById, { caller: deployedSidecar().caller, ids }),
});

/** For a backend: which assets show each of at most 100 objects, in order. */
export const assetsByKey = query({
  args: keyArgs,
  returns: v.array(shownObject),
  handler: async (ctx, args) =>
    await ctx.runQuery(component.sidecar.assetsByKey, { caller: await requireBackend(ctx), ...args }),
});

export const assetsByKeyInternal = internalQuery({
  args: keyArgs,
  returns: v.array(shownObject),
  handler: async (ctx, args) =>
    await ctx.runQuery(component.sidecar.assetsByKey, { caller: deployedSidecar().caller, ...args }),
});

/**
 * For a backend: which of at most 100 objects of these projects were left by sidecars that are gone for a week, in order;
 * null for one that is to stay. Who lists a bucket asks, and asks again before the object goes.
 */
export const leftObjects = query({
  args: leftArgs,
  returns: leftReturns,
  handler: async (ctx, args) => await left(ctx, await requireBackend(ctx), args),
});

export const leftObjectsInternal = internalQuery({
  args: leftArgs,
  returns: leftReturns,
  handler: async (ctx, args) => await left(ctx, deployedSidecar().caller, args),
});

/** For a backend: remove at most 100 assets, each only if it is still at the version that was seen. */
export const removeAssets = mutation({
  args: removeArgs,
  returns: v.array(removalResult),
  handler: async (ctx, args) =>
    await ctx.runMutation(component.sidecar.removeAssets, { caller: await requireBackend(ctx), ...args }),
});

export const removeAssetsInternal = internalMutation({
  args: removeArgs,
  returns: v.array(removalResult),
  handler: async (ctx, args) =>
    await ctx.runMutation(component.sidecar.removeAssets, { caller: deployedSidecar().caller, ...args }),
});

/**
 * For a backend: what is left of the older versions of at most 100 assets that it removed, each up to the version that
 * it saw, the newest 50; they leave the history of their scenes.
 */
export const forgetOlder = mutation({
  args: expireAnyArgs,
  returns: v.array(v.array(olderVersion)),
  handler: async (ctx, args) =>
    await ctx.runMutation(component.sidecar.forgetOlder, { caller: await requireBackend(ctx), ...args }),
});

export const forgetOlderInternal = internalMutation({
  args: expireAnyArgs,
  returns: v.array(v.array(olderVersion)),
  handler: async (ctx, args) =>
    await ctx.runMutation(component.sidecar.forgetOlder, { caller: deployedSidecar().caller, ...args }),
});

/**
 * For a backend: the next assets of a project whose scene or session is not there any more, if they have not changed for
 * a day; removed unless `dryRun`. Their versions stay, and name the objects.
 */
export const cleanupOrphanedAssets = mutation({
  args: cleanupArgs,
  returns: orphanPage,
  handler: async (ctx, args) => await cleanup(ctx, await requireBackend(ctx), args),
});

export const cleanupOrphanedAssetsInternal = internalMutation({
  args: cleanupArgs,
  returns: orphanPage,
  handler: async (ctx, args) => await cleanup(ctx, deployedSidecar().caller, args),
});

/** For a backend: `expire` for versions of any sidecar of a project. */
export const expireVersions = mutation({
  args: expireAnyArgs,
  returns: v.array(v.boolean()),
  handler: async (ctx, args) => await expireAny(ctx, await requireBackend(ctx), args),
});

export const expireVersionsInternal = internalMutation({
  args: expireAnyArgs,
  returns: v.array(v.boolean()),
  handler: async (ctx, args) => await expireAny(ctx, deployedSidecar().caller, args),
});

/** For a backend: may this viewer see this asset, by the rules of sidecarAccess.ts? */
export const canRead = query({
  args: canReadArgs,
  returns: v.boolean(),
  handler: async (ctx, args) => await canSee(ctx, await requireBackend(ctx), args),
});

export const canReadInternal = internalQuery({
  args: canReadArgs,
  returns: v.boolean(),
  handler: async (ctx, args) => await canSee(ctx, deployedSidecar().caller, args),
});

/** For a backend: the changes of its projects of which `onSceneChange` and `onSessionChange` could not be told yet. */
export const failedCallbacks = query({
  args: {},
  returns: v.array(failedCallback),
  handler: async (ctx) => await ctx.runQuery(component.sidecar.failedCallbacks, { caller: await requireBackend(ctx) }),
});

export const failedCallbacksInternal = internalQuery({
  args: {},
  returns: v.array(failedCallback),
  handler: async (ctx) => await ctx.runQuery(component.sidecar.failedCallbacks, { caller: deployedSidecar().caller }),
});

/** One step of counting what a session's totals are the sum of, for whom may write it; what is wrong is set right. */
export const recount = mutation({
  args: recountArgs,
  returns: recountResult,
  handler: async (ctx, args) => await countAgain(ctx, await requireSidecar(ctx), args),
});

export const recountInternal = internalMutation({
  args: recountArgs,
  returns: recountResult,
  handler: async (ctx, args) => await countAgain(ctx, deployedSidecar(), args),
});

/** Do these functions answer to these credentials, and by which contract? */
export const ping = query({
  args: contractArgs,
  returns: pong,
  handler: async (ctx, { contractVersion }) => {
    await requireSidecar(ctx);
    return { contractVersion: contractWith(contractVersion) };
  },
});

export const pingInternal = internalQuery({
  args: contractArgs,
  returns: pong,
  handler: async (_ctx, { contractVersion }) => ({ contractVersion: contractWith(contractVersion) }),
});

type Journal = Omit<ObjectType<typeof registerArgs>, "sidecarId">;
async function announce(ctx: MutationCtx, { caller }: Writer, { journalId, contractVersion }: Journal) {
  const given = { caller, journalId, callbacks: await callbacks() };
  const registered = await ctx.runMutation(component.sidecar.register, given);
  return { ...registered, contractVersion: contractWith(contractVersion) };
}

type ApplyArgs = Omit<ObjectType<typeof applyArgs>, "sidecarId">;
async function apply(ctx: MutationCtx, { caller, mayClaim }: Writer, batch: ApplyArgs) {
  const { projectId, sessionId } = batch;
  const may = { mayClaim: mayClaim(projectId, sessionId), keys: keysFor(projectId, caller) };
  return await ctx.runMutation(component.sidecar.applyAssets, { caller, ...may, ...batch, callbacks: await callbacks() });
}

async function current(ctx: QueryCtx, { caller }: Writer, slots: ObjectType<typeof currentArgs>["slots"]) {
  return await ctx.runQuery(component.sidecar.currentAssets, { caller, slots });
}

async function unfinished(ctx: QueryCtx, { caller }: Writer, cursor: string | null) {
  return await ctx.runQuery(component.sidecar.unfinishedScenes, { caller, cursor });
}

async function own(ctx: QueryCtx, { caller }: Writer, cursor: string | null) {
  return await ctx.runQuery(component.sidecar.versions, { caller, cursor });
}

type ExpireArgs = Omit<ObjectType<typeof expireArgs>, "sidecarId">;
async function expireOwn(ctx: MutationCtx, { caller }: Writer, { epoch, versions }: ExpireArgs) {
  const sessionIds = [...new Set(versions.map(({ sessionId }) => sessionId))];
  const projectIds = await ctx.runQuery(component.assets.projectsOfSessions, { sessionIds });
  const rules = rulesFor(projectIds, caller);
  return await ctx.runMutation(component.sidecar.expire, { caller, epoch, versions, rules });
}

async function beat(ctx: MutationCtx, { caller }: Writer, epoch: number) {
  return await ctx.runMutation(component.sidecar.heartbeat, { caller, epoch, callbacks: await callbacks() });
}

async function expireAny(ctx: MutationCtx, caller: Caller, { projectId, versions }: ObjectType<typeof expireAnyArgs>) {
  const rules = rulesFor([projectId], caller);
  return await ctx.runMutation(component.sidecar.expireVersions, { caller, projectId, versions, rules });
}

async function left(ctx: QueryCtx, caller: Caller, { projectIds, ...objects }: ObjectType<typeof leftArgs>) {
  const rules = rulesFor(projectIds, caller);
  return await ctx.runQuery(component.sidecar.leftObjects, { caller, ...objects, rules });
}

async function countAgain(ctx: MutationCtx, { caller }: Writer, args: ObjectType<typeof recountArgs>) {
  return await ctx.runMutation(component.sidecar.recount, { caller, ...args });
}

async function cleanup(ctx: MutationCtx, caller: Caller, args: ObjectType<typeof cleanupArgs>) {
  return await ctx.runMutation(component.sidecar.cleanupOrphanedAssets, { caller, ...args });
}

async function canSee(ctx: QueryCtx, caller: Caller, { asset: id, viewer }: ObjectType<typeof canReadArgs>) {
  const [asset] = await ctx.runQuery(component.assets.byIds, { ids: [id] });
  if (!asset || !mayWrite(caller, asset.projectId)) return false;
  const session = await ctx.runQuery(component.sessions.document, { sessionId: asset.sessionId });
  return session !== null && (await isReadableBy(ctx, viewer, session, asset));
}

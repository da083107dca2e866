/** What sidecars and backends ask for, once the wrappers know who they are and what they may. */
import { v } from "convex/values";
import { mutation, query } from "./_generated/server";
import { applyBatch } from "./lib/apply";
import * as backend from "./lib/backend";
import { failedCallbacks as failed, rememberCallbacks } from "./lib/callbacks";
import { findCurrentAssets } from "./lib/current";
import { registerJournal, requireNewestEpoch } from "./lib/epochs";
import {
  assetPage,
  assetReference,
  callbacks,
  caller,
  currentAsset,
  entityNameFields,
  failedCallback,
  leftObject,
  objectRule,
  olderVersion,
  onUnknownEntity,
  op,
  opResult,
  orphanPage,
  projectRule,
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
} from "./lib/shapes";
import { recount as countAgain } from "./lib/recount";
import { findLeft } from "./lib/left";
import { cleanupOrphans } from "./lib/orphans";
import { listUnfinished } from "./lib/unfinished";
import { expireOwn, listVersions } from "./lib/versions";

const cursor = v.union(v.string(), v.null());

/** Announce a journal at every start: each new one gets the next epoch and fences the one before. */
export const register = mutation({
  args: { caller, journalId: v.string(), callbacks },
  returns: registration,
  handler: async (ctx, { caller, journalId, callbacks }) => {
    await rememberCallbacks(ctx, callbacks);
    return await registerJournal(ctx, caller.producer, journalId);
  },
});

/** Apply at most 100 ops of one session in one transaction; one result per op, in order. */
export const applyAssets = mutation({
  args: {
    caller,
    mayClaim: v.boolean(), // may the caller begin this session, if nobody has written it yet?
    keys: objectRule, // what the objects of the project may be
    projectId: v.string(),
    sessionId: v.string(),
    epoch: v.number(),
    ackedSeq: v.number(), // every op of this epoch up to this one is settled
    ops: v.array(op),
    onUnknownEntity: v.optional(onUnknownEntity),
    callbacks,
  },
  returns: v.array(opResult),
  handler: async (ctx, { caller, callbacks, ...batch }) => {
    await rememberCallbacks(ctx, callbacks);
    return await applyBatch(ctx, caller, batch);
  },
});

/** What these slots hold now, in order; null for an empty one. */
export const currentAssets = query({
  args: { caller, slots: v.array(slot) },
  returns: v.array(v.union(v.null(), currentAsset)),
  handler: async (ctx, { caller, slots }) => await findCurrentAssets(ctx, caller, slots),
});

/** The scenes that this sidecar left unfinished, page by page, as `versions`. */
export const unfinishedScenes = query({
  args: { caller, cursor },
  returns: scenePage,
  handler: async (ctx, { caller, cursor }) => await listUnfinished(ctx, caller, cursor),
});

/** The versions that this sidecar wrote, page by page; a null cursor begins, and ends. */
export const versions = query({
  args: { caller, cursor },
  returns: versionPage,
  handler: async (ctx, { caller, cursor }) => await listVersions(ctx, caller.producer, cursor),
});

/** Mark at most 100 versions as expired, before their objects are deleted; tells which are. */
export const expire = mutation({
  args: { caller, epoch: v.number(), versions: v.array(versionName), rules: v.array(projectRule) },
  returns: v.array(v.boolean()),
  handler: async (ctx, { caller, ...given }) => await expireOwn(ctx, caller, given),
});

/** A sign of life of a sidecar that has nothing to tell. */
export const heartbeat = mutation({
  args: { caller, epoch: v.number(), callbacks },
  returns: v.null(),
  handler: async (ctx, { caller, epoch, callbacks }) => {
    await rememberCallbacks(ctx, callbacks);
    return await requireNewestEpoch(ctx, caller.producer, epoch);
  },
});

/** Every asset of a project, page by page, as `versions`. */
export const listByProject = query({
  args: { caller, projectId: v.string(), cursor },
  returns: assetPage,
  handler: async (ctx, { caller, ...args }) => await backend.listByProject(ctx, caller, args),
});

/** Every asset of a scene or a session, page by page. */
export const listByEntity = query({
  args: { caller, projectId: v.string(), ...entityNameFields, cursor },
  returns: assetPage,
  handler: async (ctx, { caller, ...args }) => await backend.listByEntity(ctx, caller, args),
});

/** At most 100 assets by their ids, in order; null for one that is not there, or not the caller's. */
export const assetsById = query({
  args: { caller, ids: v.array(v.string()) },
  returns: v.array(v.union(v.null(), assetReference)),
  handler: async (ctx, { caller, ids }) => await backend.findById(ctx, caller, ids),
});

/** Which assets show each of at most 100 objects, in order. */
export const assetsByKey = query({
  args: { caller, bucket: v.string(), keys: v.array(v.string()) },
  returns: v.array(shownObject),
  handler: async (ctx, { caller, ...args }) => await backend.findByKey(ctx, caller, args),
});

/** Which of at most 100 objects were left by sidecars that are gone; see lib/left.ts. */
export const leftObjects = query({
  args: { caller, bucket: v.string(), keys: v.array(v.string()), rules: v.array(projectRule) },
  returns: v.array(v.union(v.null(), leftObject)),
  handler: async (ctx, { caller, ...args }) => await findLeft(ctx, caller, args),
});

/** Remove at most 100 assets, each only if it is still at the version that was seen. */
export const removeAssets = mutation({
  args: { caller, projectId: v.string(), removals: v.array(removal) },
  returns: v.array(removalResult),
  handler: async (ctx, { caller, ...args }) => await backend.removeAssets(ctx, caller, args),
});

/** What is left of the older versions of removed assets, which leave the history of their scenes. */
export const forgetOlder = mutation({
  args: { caller, projectId: v.string(), versions: v.array(versionName) },
  returns: v.array(v.array(olderVersion)),
  handler: async (ctx, { caller, ...args }) => await backend.forgetOlder(ctx, caller, args),
});

/** A step of looking for assets of which nothing tells any more; see lib/orphans.ts. */
export const cleanupOrphanedAssets = mutation({
  args: { caller, projectId: v.string(), dryRun: v.boolean(), cursor },
  returns: orphanPage,
  handler: async (ctx, { caller, ...args }) => await cleanupOrphans(ctx, caller, args),
});

/** `expire` for versions of any sidecar of a project. */
export const expireVersions = mutation({
  args: { caller, projectId: v.string(), versions: v.array(versionName), rules: v.array(projectRule) },
  returns: v.array(v.boolean()),
  handler: async (ctx, { caller, ...args }) => await backend.expireAny(ctx, caller, args),
});

/** Changes of the caller's projects of which the application could not be told yet, the oldest failure first, at most 100. */
export const failedCallbacks = query({
  args: { caller },
  returns: v.array(failedCallback),
  handler: async (ctx, { caller }) => await failed(ctx, caller),
});

/** One step of counting what a session's totals are the sum of; what is wrong is set right. */
export const recount = mutation({
  args: { caller, sessionId: v.string(), progress: v.union(recountProgress, v.null()) },
  returns: recountResult,
  handler: async (ctx, { caller, ...args }) => await countAgain(ctx, caller, args),
});

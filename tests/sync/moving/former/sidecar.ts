/**
 * What sidecars call. Every public function has an internal twin for deployments that give their
 * sidecars a scoped deploy key instead of a JWT.
 */
import { v } from "convex/values";
import { internalMutation, internalQuery, mutation, query } from "./_generated/server";
import { applyBatch } from "./sidecarLib/apply";
import { deployedSidecar, requireBackend, requireSidecar } from "./sidecarLib/auth";
import * as backend from "./sidecarLib/backend";
import { findCurrentAssets } from "./sidecarLib/current";
import { registerJournal, requireNewestEpoch } from "./sidecarLib/epochs";
import {
  assetPage,
  assetReference,
  CONTRACT_VERSION,
  currentAsset,
  op,
  opResult,
  registration,
  removal,
  removalResult,
  scenePage,
  slot,
  versionName,
  versionPage,
  viewer,
} from "./sidecarLib/shapes";
import { listUnfinished } from "./sidecarLib/unfinished";
import { expireOwn, listVersions } from "./sidecarLib/versions";

const registerArgs = { sidecarId: v.string(), journalId: v.string() };
const applyArgs = {
  sidecarId: v.string(),
  projectId: v.string(),
  sessionId: v.string(),
  epoch: v.number(),
  ackedSeq: v.number(), // every op of this epoch up to this one is settled
  ops: v.array(op),
};
const currentArgs = { slots: v.array(slot) };
const currentReturns = v.array(v.union(v.null(), currentAsset));
const pageArgs = { sidecarId: v.string(), cursor: v.union(v.string(), v.null()) };
const expireArgs = { sidecarId: v.string(), epoch: v.number(), versions: v.array(versionName) };
const beatArgs = { sidecarId: v.string(), epoch: v.number() };
const listArgs = { projectId: v.string(), cursor: v.union(v.string(), v.null()) };
const idArgs = { ids: v.array(v.string()) };
const idReturns = v.array(v.union(v.null(), assetReference));
const removeArgs = { projectId: v.string(), removals: v.array(removal) };
const expireAnyArgs = { projectId: v.string(), versions: v.array(versionName) };
const canReadArgs = { asset: v.string(), viewer };
const pong = v.object({ contractVersion: v.number() });

/** Announce a journal at every start: each new one gets the next epoch and fences the one before. */
export const register = mutation({
  args: registerArgs,
  returns: registration,
  handler: async (ctx, { sidecarId, journalId }) =>
    await registerJournal(ctx, await requireSidecar(ctx, sidecarId), journalId),
});

export const registerInternal = internalMutation({
  args: registerArgs,
  returns: registration,
  handler: async (ctx, { sidecarId, journalId }) =>
    await registerJournal(ctx, deployedSidecar(sidecarId), journalId),
});

/** Apply at most 100 ops of one session in one transaction; one result per op, in order. */
export const applyAssets = mutation({
  args: applyArgs,
  returns: v.array(opResult),
  handler: async (ctx, { sidecarId, ...batch }) =>
    await applyBatch(ctx, await requireSidecar(ctx, sidecarId), batch),
});

export const applyAssetsInternal = internalMutation({
  args: applyArgs,
  returns: v.array(opResult),
  handler: async (ctx, { sidecarId, ...batch }) => await applyBatch(ctx, deployedSidecar(sidecarId), batch),
});

/** What these slots hold now, in order; null for an empty one. */
export const currentAssets = query({
  args: currentArgs,
  returns: currentReturns,
  handler: async (ctx, { slots }) => await findCurrentAssets(ctx, await requireSidecar(ctx), slots),
});

export const currentAssetsInternal = internalQuery({
  args: currentArgs,
  returns: currentReturns,
  handler: async (ctx, { slots }) => await findCurrentAssets(ctx, deployedSidecar(), slots),
});

/** The scenes that this sidecar left unfinished, page by page, as `versions`. */
export const unfinishedScenes = query({
  args: pageArgs,
  returns: scenePage,
  handler: async (ctx, { sidecarId, cursor }) =>
    await listUnfinished(ctx, await requireSidecar(ctx, sidecarId), cursor),
});

export const unfinishedScenesInternal = internalQuery({
  args: pageArgs,
  returns: scenePage,
  handler: async (ctx, { sidecarId, cursor }) => await listUnfinished(ctx, deployedSidecar(sidecarId), cursor),
});

/** The versions that this sidecar wrote, page by page; a null cursor begins, and ends. */
export const versions = query({
  args: pageArgs,
  returns: versionPage,
  handler: async (ctx, { sidecarId, cursor }) =>
    await listVersions(ctx, await requireSidecar(ctx, sidecarId), cursor),
});

export const versionsInternal = internalQuery({
  args: pageArgs,
  returns: versionPage,
  handler: async (ctx, { sidecarId, cursor }) => await listVersions(ctx, deployedSidecar(sidecarId), cursor),
});

/** Mark at most 100 versions as expired, before their objects are deleted; tells which are. */
export const expire = mutation({
  args: expireArgs,
  returns: v.array(v.boolean()),
  handler: async (ctx, { sidecarId, ...given }) =>
    await expireOwn(ctx, await requireSidecar(ctx, sidecarId), given),
});

export const expireInternal = internalMutation({
  args: expireArgs,
  returns: v.array(v.boolean()),
  handler: async (ctx, { sidecarId, ...given }) =>
    await expireOwn(ctx, deployedSidecar(sidecarId), given),
});

/** A sign of life of a sidecar that has nothing to tell: after 15 minutes without any it counts as gone. */
export const heartbeat = mutation({
  args: beatArgs,
  returns: v.null(),
  handler: async (ctx, { sidecarId, epoch }) =>
    await requireNewestEpoch(ctx, (await requireSidecar(ctx, sidecarId)).producer, epoch),
});

export const heartbeatInternal = internalMutation({
  args: beatArgs,
  returns: v.null(),
  handler: async (ctx, { sidecarId, epoch }) =>
    await requireNewestEpoch(ctx, deployedSidecar(sidecarId).producer, epoch),
});

/** For a backend: every asset of a project, page by page, as `versions`. */
export const listByProject = query({
  args: listArgs,
  returns: assetPage,
  handler: async (ctx, args) => await backend.listByProject(ctx, await requireBackend(ctx), args),
});

export const listByProjectInternal = internalQuery({
  args: listArgs,
  returns: assetPage,
  handler: async (ctx, args) => await backend.listByProject(ctx, deployedSidecar(), args),
});

/** For a backend: at most 100 assets by their ids, in order; null for one that is not there. */
export const assetsById = query({
  args: idArgs,
  returns: idReturns,
  handler: async (ctx, { ids }) => await backend.findById(ctx, await requireBackend(ctx), ids),
});

export const assetsByIdInternal = internalQuery({
  args: idArgs,
  returns: idReturns,
  handler: async (ctx, { ids }) => await backend.findById(ctx, deployedSidecar(), ids),
});

/** For a backend: remove at most 100 assets, each only if it is still at the version that was seen. */
export const removeAssets = mutation({
  args: removeArgs,
  returns: v.array(removalResult),
  handler: async (ctx, args) => await backend.removeAssets(ctx, await requireBackend(ctx), args),
});

export const removeAssetsInternal = internalMutation({
  args: removeArgs,
  returns: v.array(removalResult),
  handler: async (ctx, args) => await backend.removeAssets(ctx, deployedSidecar(), args),
});

/** For a backend: `expire` for versions of any sidecar of a project. */
export const expireVersions = mutation({
  args: expireAnyArgs,
  returns: v.array(v.boolean()),
  handler: async (ctx, args) => await backend.expireAny(ctx, await requireBackend(ctx), args),
});

export const expireVersionsInternal = internalMutation({
  args: expireAnyArgs,
  returns: v.array(v.boolean()),
  handler: async (ctx, args) => await backend.expireAny(ctx, deployedSidecar(), args),
});

/** For a backend: may this viewer see this asset, by the rules of sidecarAccess.ts? */
export const canRead = query({
  args: canReadArgs,
  returns: v.boolean(),
  handler: async (ctx, { asset, ...by }) =>
    await backend.canRead(ctx, await requireBackend(ctx), { assetId: asset, ...by }),
});

export const canReadInternal = internalQuery({
  args: canReadArgs,
  returns: v.boolean(),
  handler: async (ctx, { asset, ...by }) =>
    await backend.canRead(ctx, deployedSidecar(), { assetId: asset, ...by }),
});

/** Do these functions answer to these credentials? */
export const ping = query({
  args: {},
  returns: pong,
  handler: async (ctx) => {
    await requireSidecar(ctx);
    return { contractVersion: CONTRACT_VERSION };
  },
});

export const pingInternal = internalQuery({
  args: {},
  returns: pong,
  handler: async () => ({ contractVersion: CONTRACT_VERSION }),
});

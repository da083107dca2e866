/**
 * For your own mutations: sessions and scenes that you make, before a sidecar writes them or after, and scenes that you
 * delete. All of it is in the transaction of the mutation that calls.
 */
import type { GenericDataModel, GenericMutationCtx } from "convex/server";
import { component } from "./component";

type Ctx = Pick<GenericMutationCtx<GenericDataModel>, "runMutation">;

/** `ownerId` is yours: no sidecar sets it, canReadSession sees it. */
export type NewSession = { sessionId: string; projectId: string; ownerId?: string };

/**
 * Idempotent. A session that is here is its project's, whichever issuer would begin it first; an owner that is named is
 * its owner from now on. Throws INVALID for a session of another project.
 */
export async function ensureSession(ctx: Ctx, session: NewSession): Promise<void> {
  await ctx.runMutation(component.sessions.ensure, session);
}

/**
 * As ensureSession, for a scene and its session: the scene is `pending` until something comes. One that was deleted is
 * there again; INVALID while its deletion is still under way.
 */
export async function ensureScene(ctx: Ctx, scene: NewSession & { sceneId: string }): Promise<void> {
  await ctx.runMutation(component.scenes.ensure, scene);
}

/** For good: a tombstone refuses what a sidecar still sends. The objects stay in S3 until retention removes them. */
export async function deleteScene(ctx: Ctx, scene: { sessionId: string; sceneId: string }): Promise<void> {
  await ctx.runMutation(component.scenes.remove, scene);
}

/** Sessions and scenes that the application makes, before its sidecars do or after. */
import type { MutationCtx } from "../_generated/server";
import { projectOf } from "./auth";
import { tombstoneOf } from "./deletion";
import { fail } from "./errors";
import { newScene, newSession } from "./newDocuments";
import { sceneRow, sessionRow } from "./rows";

export type SessionArgs = { sessionId: string; projectId: string; ownerId?: string };

/** Idempotent; an owner that is named is the owner from now on. Throws INVALID for a session of another project. */
export async function ensureSession(ctx: MutationCtx, args: SessionArgs): Promise<void> {
  const { sessionId, projectId, ownerId } = args;
  const known = await projectOf(ctx, sessionId);
  if (known !== null && known !== projectId) {
    fail("INVALID", `session "${sessionId}" belongs to project "${known}", not "${projectId}"`);
  }
  if (known === null) await ctx.db.insert("sessionProjects", { sessionId, projectId });
  const session = await sessionRow(ctx, sessionId);
  if (session === null) await ctx.db.insert("videoSessions", newSession(args));
  else if (ownerId !== undefined && ownerId !== session.ownerId) {
    await ctx.db.patch("videoSessions", session._id, { ownerId, updatedAt: Date.now() });
  }
}

/** As ensureSession, whose session it ensures, too. A scene that was deleted is there again, once all of it had gone. */
export async function ensureScene(ctx: MutationCtx, args: SessionArgs & { sceneId: string }): Promise<void> {
  const { sessionId, projectId, sceneId, ownerId } = args;
  await ensureSession(ctx, { sessionId, projectId });
  await liftTombstone(ctx, sessionId, sceneId);
  const scene = await sceneRow(ctx, sessionId, sceneId);
  if (scene === null) await ctx.db.insert("scenes", newScene(args));
  else if (ownerId !== undefined && ownerId !== scene.ownerId) {
    await ctx.db.patch("scenes", scene._id, { ownerId, updatedAt: Date.now() });
  }
}

async function liftTombstone(ctx: MutationCtx, sessionId: string, sceneId: string): Promise<void> {
  const tombstone = await tombstoneOf(ctx, sessionId, sceneId);
  if (tombstone === null) return;
  if (tombstone.purgedAt === undefined) fail("INVALID", `scene "${sceneId}" is still being deleted: try again soon`);
  await ctx.db.delete("deletedScenes", tombstone._id);
}

/** What an application does with its lessons: it makes scenes, deletes them, and follows their documents. */
import { v } from "convex/values";
import { internalMutation, internalQuery } from "./_generated/server";
import { deleteScene, deleteSession, ensureScene, ensureSession } from "./sidecar/application";
import { sceneChangeArgs } from "./sidecar/fields";

const sceneArgs = { sessionId: v.string(), sceneId: v.string() };

export const create = internalMutation({
  args: { ...sceneArgs, projectId: v.string(), ownerId: v.string() },
  handler: async (ctx, { sceneId, ...session }) => {
    await ensureSession(ctx, session); // whose it is
    await ensureScene(ctx, { ...session, sceneId });
  },
});

export const destroy = internalMutation({
  args: sceneArgs,
  handler: async (ctx, scene) => {
    await deleteScene(ctx, scene);
  },
});

export const destroyAll = internalMutation({
  args: { sessionId: v.string() },
  handler: async (ctx, session) => {
    await deleteSession(ctx, session);
  },
});

/** Follows a scene; what it has written is rolled back where it throws. */
export const sceneChanged = internalMutation({
  args: sceneChangeArgs,
  handler: async (ctx, { sceneId, scene }) => {
    const known = await ctx.db
      .query("lessons")
      .withIndex("by_scene", (q) => q.eq("sceneId", sceneId))
      .unique();
    if (known !== null) await ctx.db.delete("lessons", known._id);
    if (scene !== null) {
      const { assetsStatus, assetVersion, videoAsset, stalledSince } = scene;
      await ctx.db.insert("lessons", {
        ...{ sceneId, assetsStatus, assetVersion },
        ...(videoAsset && { videoAsset }),
        ...(stalledSince !== undefined && { stalledSince }),
      });
    }
    const broken = await ctx.db.query("broken").first();
    if (broken !== null) throw new Error(broken.message);
  },
});

export const all = internalQuery({ args: {}, handler: async (ctx) => await ctx.db.query("lessons").take(100) });

/** Lets `sceneChanged` throw, or mends it. */
export const setBroken = internalMutation({
  args: { message: v.union(v.string(), v.null()) },
  handler: async (ctx, { message }) => {
    const broken = await ctx.db.query("broken").first();
    if (broken !== null) await ctx.db.delete("broken", broken._id);
    if (message !== null) await ctx.db.insert("broken", { message });
  },
});

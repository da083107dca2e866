/** Nobody tells that a sidecar is gone: a scene that waits for one of several is looked at again. */
import { v } from "convex/values";
import { internalMutation } from "../_generated/server";
import { changeOf, newBatch } from "./batch";
import { saveChanges } from "./changes";
import { sceneRow } from "./rows";
import { sceneStatus } from "./status";

export const look = internalMutation({
  args: { sessionId: v.string(), sceneId: v.string() },
  returns: v.null(),
  handler: async (ctx, { sessionId, sceneId }) => {
    const jobs = await ctx.db
      .query("sceneRechecks")
      .withIndex("by_scene", (q) => q.eq("sessionId", sessionId).eq("sceneId", sceneId))
      .take(10);
    const now = Date.now();
    if (jobs.some((job) => job.dueAt > now)) return null; // a test runs whatever is scheduled
    for (const job of jobs) await ctx.db.delete("sceneRechecks", job._id);
    const scene = await sceneRow(ctx, sessionId, sceneId);
    if (scene === null || scene.assetsStatus !== "uploading") return null;
    const { assetsStatus } = await sceneStatus(ctx, sessionId, sceneId, now); // asks again if it still waits
    if (assetsStatus === "uploading") return null;
    const batch = newBatch(
      { sessionId, projectId: scene.projectId, epoch: 0, ackedSeq: 0 },
      { producer: "", keys: null, now },
    );
    changeOf(batch, "scene", sceneId).factsChanged = true;
    await saveChanges(ctx, batch);
    return null;
  },
});

/** Sessions for players and dashboards, reactive. */
import { paginationOptsValidator, paginationResultValidator } from "convex/server";
import { v } from "convex/values";
import { query } from "./_generated/server";
import { assetRule, readableSession } from "./sidecarLib/access";
import { rules } from "./sidecarLib/rules";
import { sessionViewFields } from "./sidecarLib/shapes";
import { toSession } from "./sidecarLib/views";

const session = v.object({ _id: v.id("videoSessions"), _creationTime: v.number(), ...sessionViewFields });

/** Null for a session that is not there, or that canReadSession refuses. */
export const get = query({
  args: { sessionId: v.string() },
  returns: v.union(v.null(), session),
  handler: async (ctx, { sessionId }) => {
    const row = await readableSession(ctx, sessionId);
    return row && (await toSession(ctx, row, await assetRule(ctx, row)));
  },
});

/**
 * The sessions of a project that the caller may see, the oldest first. A page may hold fewer than it was asked for, or
 * none; whether there are further pages is no secret.
 */
export const sessionsByProject = query({
  args: { projectId: v.string(), paginationOpts: paginationOptsValidator },
  returns: paginationResultValidator(session),
  handler: async (ctx, { projectId, paginationOpts }) => {
    const result = await ctx.db
      .query("videoSessions")
      .withIndex("by_project", (q) => q.eq("projectId", projectId))
      .paginate(paginationOpts);
    const shown = await Promise.all(result.page.map(async (row) => await rules.canReadSession(ctx, row)));
    const page = result.page.filter((_, i) => shown[i]);
    return { ...result, page: await Promise.all(page.map(async (row) => toSession(ctx, row, await assetRule(ctx, row)))) };
  },
});

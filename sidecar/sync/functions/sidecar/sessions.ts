/** Sessions for players and dashboards, reactive. */
import { paginationOptsValidator } from "convex/server";
import { v } from "convex/values";
import { query, type QueryCtx } from "../_generated/server";
import { pageOfShape, session, type Session } from "../renderSidecar/lib/shapes";
import { component } from "./component";
import { asked, assetRule, readable, readableSession, readableSessionView } from "./reading";
import { rules } from "./rules";

/** Null for a session that is not there, or that canReadSession refuses. */
export const get = query({
  args: { sessionId: v.string() },
  returns: v.union(v.null(), session),
  handler: async (ctx, { sessionId }) =>
    (await readableSession(ctx, sessionId)) === null ? null : await viewOf(ctx, sessionId),
});

/**
 * The sessions of a project that the caller may see, the oldest first. A page may hold fewer than it was asked for, or
 * none; whether there are further pages is no secret.
 */
export const sessionsByProject = query({
  args: { projectId: v.string(), paginationOpts: paginationOptsValidator },
  returns: pageOfShape(session),
  handler: async (ctx, { projectId, paginationOpts }) => {
    const result = await ctx.runQuery(component.sessions.byProject, { projectId, ...asked(paginationOpts) });
    const shown = await readable(result.page, async (one) => await rules.canReadSession(ctx, one));
    const page = await Promise.all(shown.map((one) => viewOf(ctx, one.sessionId)));
    return { ...result, page: page.filter((one) => one !== null) };
  },
});

async function viewOf(ctx: QueryCtx, sessionId: string): Promise<Session | null> {
  const found = await ctx.runQuery(component.sessions.get, { sessionId });
  return found && (await readableSessionView(found, await assetRule(ctx, found)));
}

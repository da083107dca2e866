/** Sessions for players and dashboards. */
import { v } from "convex/values";
import { mutation, query } from "./_generated/server";
import { ensureSession } from "./lib/ensuring";
import { pageArgs, pageOf } from "./lib/pages";
import { sessionRow } from "./lib/rows";
import { pageOfShape, session, sessionDocument } from "./lib/shapes";
import { toDocument, toSession } from "./lib/views";

/** A session without its totals: whether somebody may read it depends on nothing that its sidecars write all the time. */
export const document = query({
  args: { sessionId: v.string() },
  returns: v.union(v.null(), sessionDocument),
  handler: async (ctx, { sessionId }) => {
    const row = await sessionRow(ctx, sessionId);
    return row && toDocument(row);
  },
});

export const get = query({
  args: { sessionId: v.string() },
  returns: v.union(v.null(), session),
  handler: async (ctx, { sessionId }) => {
    const row = await sessionRow(ctx, sessionId);
    return row && (await toSession(ctx, row));
  },
});

/** The sessions of a project, the oldest first, without their totals. */
export const byProject = query({
  args: { projectId: v.string(), ...pageArgs },
  returns: pageOfShape(sessionDocument),
  handler: async (ctx, { projectId, ...asked }) => {
    const found = await pageOf(
      {
        read: (narrow) =>
          ctx.db.query("videoSessions").withIndex("by_project", (q) => narrow(q.eq("projectId", projectId))),
        key: ["_creationTime"],
      },
      asked,
    );
    return { ...found, page: found.page.map(toDocument) };
  },
});

/** Makes a session, if it is not there; see lib/ensuring.ts. */
export const ensure = mutation({
  args: { sessionId: v.string(), projectId: v.string(), ownerId: v.optional(v.string()) },
  returns: v.null(),
  handler: async (ctx, args) => {
    await ensureSession(ctx, args);
    return null;
  },
});

/** Every asset of a scene or a session, reactive and paginated. */
import { paginationOptsValidator, paginationResultValidator } from "convex/server";
import { v } from "convex/values";
import { query } from "./_generated/server";
import { assetRule, readableSession } from "./sidecarLib/access";
import { toAssetReference } from "./sidecarLib/references";
import { assetReference, entityType } from "./sidecarLib/shapes";

/** By index, then name; assets without an index come last. */
export const byEntity = query({
  args: {
    sessionId: v.string(),
    entityType,
    entityId: v.string(),
    paginationOpts: paginationOptsValidator,
  },
  returns: paginationResultValidator(assetReference),
  handler: async (ctx, { sessionId, entityType, entityId, paginationOpts }) => {
    const session = await readableSession(ctx, sessionId);
    if (session === null) {
      return { page: [], isDone: true, continueCursor: "" };
    }
    const result = await ctx.db
      .query("assets")
      .withIndex("by_entity", (q) =>
        q.eq("sessionId", sessionId).eq("entityType", entityType).eq("entityId", entityId),
      )
      .paginate(paginationOpts);
    const isReadable = await assetRule(ctx, session);
    const shown = await Promise.all(result.page.map(isReadable));
    const page = result.page.filter((_, i) => shown[i]);
    return { ...result, page: await Promise.all(page.map(toAssetReference)) };
  },
});

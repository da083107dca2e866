/** Every asset of a scene or a session, reactive and paginated. */
import { paginationOptsValidator, paginationResultValidator } from "convex/server";
import { v } from "convex/values";
import type { Doc } from "./_generated/dataModel";
import { query } from "./_generated/server";
import { readableSession } from "./sidecarLib/access";
import { toS3Asset } from "./sidecarLib/rows";
import { assetReferenceFields, entityType } from "./sidecarLib/shapes";

const assetReference = v.object({ id: v.id("assets"), ...assetReferenceFields });

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
    if ((await readableSession(ctx, sessionId)) === null) {
      return { page: [], isDone: true, continueCursor: "" };
    }
    const result = await ctx.db
      .query("assets")
      .withIndex("by_entity", (q) =>
        q.eq("sessionId", sessionId).eq("entityType", entityType).eq("entityId", entityId),
      )
      .paginate(paginationOpts);
    return { ...result, page: result.page.map(toAssetReference) };
  },
});

function toAssetReference(row: Doc<"assets">) {
  const { _id, sessionId, projectId, entityId, entityType, assetType } = row;
  const { name, index, role, transfer, version, createdAt, metadata } = row;
  return {
    ...{ id: _id, sessionId, projectId, entityId, entityType, assetType },
    ...{ name, index, role, transfer, version, createdAt, metadata },
    ...toS3Asset(row),
  };
}

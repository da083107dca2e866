/** Sessions for players and dashboards, reactive. */
import { v } from "convex/values";
import type { Doc } from "./_generated/dataModel";
import { query } from "./_generated/server";
import { readableSession } from "./sidecarLib/access";
import { defined } from "./sidecarLib/optional";
import { sessionFields } from "./sidecarLib/shapes";

const session = v.object({ _id: v.id("videoSessions"), _creationTime: v.number(), ...sessionFields });

/** Null for a session that is not there, or that canReadSession refuses. Totals follow within seconds. */
export const get = query({
  args: { sessionId: v.string() },
  returns: v.union(v.null(), session),
  handler: async (ctx, { sessionId }) => {
    const row = await readableSession(ctx, sessionId);
    return row && toSession(row);
  },
});

/** The contract's fields: a table that you have given more keeps them to itself. */
function toSession(row: Doc<"videoSessions">) {
  const { _id, _creationTime, sessionId, projectId, ownerId } = row;
  const { combinedVideoAsset, combinedSubtitleAsset, manifestAsset } = row;
  const { totalAssetSize, assetCount, assetsStatus, sceneCount, readyCount, updatedAt } = row;
  return defined({
    ...{ _id, _creationTime, sessionId, projectId, ownerId },
    ...{ combinedVideoAsset, combinedSubtitleAsset, manifestAsset },
    ...{ totalAssetSize, assetCount, assetsStatus, sceneCount, readyCount, updatedAt },
  });
}

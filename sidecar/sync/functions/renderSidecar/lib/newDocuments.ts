/** Documents as they begin; for your own mutations too, when a session exists before its first asset. */
import type { WithoutSystemFields } from "convex/server";
import type { Doc } from "../_generated/dataModel";
import { naturalKey } from "./order";

type Session = WithoutSystemFields<Doc<"videoSessions">>;
type Scene = WithoutSystemFields<Doc<"scenes">>;

/** To be inserted into `videoSessions`. */
export function newSession(of: Pick<Session, "sessionId" | "projectId" | "ownerId">): Session {
  return { ...of, updatedAt: Date.now() };
}

/** To be inserted into `scenes`. */
export function newScene(of: Pick<Scene, "sessionId" | "projectId" | "sceneId" | "ownerId">): Scene {
  return {
    ...of,
    sortKey: naturalKey(of.sceneId),
    assetsStatus: "pending",
    assetVersion: 1,
    previousAssetVersions: [],
    updatedAt: Date.now(),
  };
}

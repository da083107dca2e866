/** Documents as the contract has them. */
import type { Doc } from "../_generated/dataModel";
import type { QueryCtx } from "../_generated/server";
import { assetIdOf } from "./identity";
import { defined } from "./optional";
import { toS3Asset } from "./rows";
import type { ListedScene, PastVersion, Scene, Session, SessionDocument } from "./shapes";
import { sessionTotals } from "./totals";

export function toScene(row: Doc<"scenes">): Scene {
  return { ...toListedScene(row), previousAssetVersions: row.previousAssetVersions };
}

export function toListedScene(row: Doc<"scenes">): ListedScene {
  const { _id, _creationTime, sessionId, projectId, sceneId, sortKey, ownerId } = row;
  const { videoAsset, sourceCodeAsset, thumbnailAsset, subtitleAsset } = row;
  const { assetsStatus, assetsErrorMessage, stalledSince, expectedChunks, assetVersion, updatedAt } = row;
  return defined({
    ...{ _id, _creationTime, sessionId, projectId, sceneId, sortKey, ownerId },
    ...{ videoAsset, sourceCodeAsset, thumbnailAsset, subtitleAsset },
    ...{ assetsStatus, assetsErrorMessage, stalledSince, expectedChunks, assetVersion, updatedAt },
  });
}

export function toDocument(row: Doc<"videoSessions">): SessionDocument {
  const { _id, _creationTime, sessionId, projectId, ownerId, updatedAt } = row;
  const { combinedVideoAsset, combinedSubtitleAsset, manifestAsset } = row;
  return defined({
    ...{ _id, _creationTime, sessionId, projectId, ownerId, updatedAt },
    ...{ combinedVideoAsset, combinedSubtitleAsset, manifestAsset },
  });
}

export async function toSession(ctx: Pick<QueryCtx, "db">, row: Doc<"videoSessions">): Promise<Session> {
  const totals = await sessionTotals(ctx, row.sessionId);
  return { ...toDocument(row), ...totals, updatedAt: Math.max(row.updatedAt, totals.updatedAt) };
}

export async function toPastVersion(row: Doc<"assetVersions">): Promise<PastVersion> {
  const { assetType, name, version, createdAt, expired } = row;
  return { assetId: await assetIdOf(row), assetType, name, version, ...toS3Asset(row), createdAt, expired };
}

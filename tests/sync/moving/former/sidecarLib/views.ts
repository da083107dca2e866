/**
 * Documents as front ends see them: the contract's fields (a table that you have given more keeps them to itself),
 * and of their assets those that canReadAsset admits.
 */
import type { Doc } from "../_generated/dataModel";
import type { QueryCtx } from "../_generated/server";
import type { Readable } from "./access";
import { defined } from "./optional";
import type { AssetType } from "./shapes";
import { sessionTotals } from "./totals";

type Scene = Doc<"scenes">;
type Session = Doc<"videoSessions">;

export async function toScene(row: Scene, isReadable: Readable) {
  const { previousAssetVersions } = row;
  const shown = await Promise.all(
    previousAssetVersions.map(({ assetType, name }) =>
      isReadable({ entityType: "scene", entityId: row.sceneId, assetType, name }),
    ),
  );
  const listed = await toListedScene(row, isReadable);
  return { ...listed, previousAssetVersions: previousAssetVersions.filter((_, i) => shown[i]) };
}

export async function toListedScene(row: Scene, isReadable: Readable) {
  const { _id, _creationTime, sessionId, projectId, sceneId, sortKey, ownerId } = row;
  const { assetsStatus, assetsErrorMessage, stalledSince, expectedChunks, assetVersion, updatedAt } = row;
  const may = await readableTypes(isReadable, "scene", sceneId, SCENE_TYPES);
  return defined({
    ...{ _id, _creationTime, sessionId, projectId, sceneId, sortKey, ownerId },
    videoAsset: may.video_chunk ? row.videoAsset : undefined,
    sourceCodeAsset: may.source_code ? row.sourceCodeAsset : undefined,
    thumbnailAsset: may.thumbnail ? row.thumbnailAsset : undefined,
    subtitleAsset: may.subtitle ? row.subtitleAsset : undefined,
    ...{ assetsStatus, assetsErrorMessage, stalledSince, expectedChunks, assetVersion, updatedAt },
  });
}

export async function toSession(ctx: QueryCtx, row: Session, isReadable: Readable) {
  const { _id, _creationTime, sessionId, projectId, ownerId } = row;
  const totals = await sessionTotals(ctx, sessionId);
  const may = await readableTypes(isReadable, "session", sessionId, SESSION_TYPES);
  return defined({
    ...{ _id, _creationTime, sessionId, projectId, ownerId },
    combinedVideoAsset: may.combined_video ? row.combinedVideoAsset : undefined,
    combinedSubtitleAsset: may.subtitle ? row.combinedSubtitleAsset : undefined,
    manifestAsset: may.manifest ? row.manifestAsset : undefined,
    ...totals,
    updatedAt: Math.max(row.updatedAt, totals.updatedAt),
  });
}

const SCENE_TYPES = ["video_chunk", "source_code", "thumbnail", "subtitle"] as const;
const SESSION_TYPES = ["combined_video", "subtitle", "manifest"] as const;

/** A document shows one asset of each type and not its name: the rule is asked by type. */
async function readableTypes<T extends AssetType>(
  isReadable: Readable,
  entityType: "scene" | "session",
  entityId: string,
  types: readonly T[],
): Promise<Record<T, boolean>> {
  const answers = await Promise.all(
    types.map(async (assetType) => [assetType, await isReadable({ entityType, entityId, assetType, name: null })]),
  );
  return Object.fromEntries(answers) as Record<T, boolean>;
}

/** The Convex functions that the hooks call, by the names that every installation has, and what those answer. */
import { makeFunctionReference, type PaginationOptions, type PaginationResult } from "convex/server";

export type AssetsStatus = "pending" | "uploading" | "ready" | "error";

/** Where an object is; `s3Url` is stable and opens nothing in a private bucket: see useAccessUrls. */
export type ShownAsset = {
  assetId?: string;
  s3Key: string;
  s3Url: string;
  contentType: string;
  size: number;
  uploadedAt: number;
};

export type Scene = {
  sessionId: string;
  projectId: string;
  sceneId: string;
  videoAsset?: ShownAsset;
  sourceCodeAsset?: ShownAsset;
  thumbnailAsset?: ShownAsset;
  subtitleAsset?: ShownAsset;
  assetsStatus: AssetsStatus;
  assetsErrorMessage?: string;
  stalledSince?: number;
  assetVersion: number;
  updatedAt: number;
};

export type Chunk = {
  id: string;
  name: string;
  index: number | null;
  version: number;
  contentType: string;
  size: number;
  createdAt: number;
  metadata: Record<string, string>;
};

/** `contiguous`: how many of the chunks, from the first one on, may be played already. */
export type SceneChunks = { chunks: Chunk[]; contiguous: number; expected: number | null; isComplete: boolean };

/** `expiresAt` is null for an address that never does. Times are milliseconds of the server's clock. */
export type AccessUrl = { id: string; version: number; url: string; signedAt: number; expiresAt: number | null };

type SceneArgs = { sessionId: string; sceneId: string };

export const functions = {
  scene: makeFunctionReference<"query", SceneArgs, Scene | null>("sidecar/scenes:get"),
  scenes: makeFunctionReference<
    "query",
    { sessionId: string; paginationOpts: PaginationOptions },
    PaginationResult<Scene>
  >("sidecar/scenes:bySession"),
  chunks: makeFunctionReference<"query", SceneArgs & { first?: number }, SceneChunks>("sidecar/assets:chunks"),
  accessUrls: makeFunctionReference<"action", { ids: string[] }, (AccessUrl | null)[]>("sidecar/assets:accessUrls"),
};

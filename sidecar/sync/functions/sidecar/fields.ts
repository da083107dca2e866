/**
 * For tables of your own that follow the sidecar's documents: spread these fields into them, and write them in
 * `onSceneChange` and `onSessionChange`. All are optional: a document may be there before anything is rendered.
 *
 *     lessons: defineTable({ title: v.string(), ...sceneAssetFields }),
 */
import { v } from "convex/values";
import { assetsStatus, sceneChangeFields, sessionChangeFields, shownAsset } from "../renderSidecar/lib/shapes";

export const sceneAssetFields = {
  videoAsset: v.optional(shownAsset),
  sourceCodeAsset: v.optional(shownAsset),
  thumbnailAsset: v.optional(shownAsset),
  subtitleAsset: v.optional(shownAsset),
  assetsStatus: v.optional(assetsStatus),
  assetsErrorMessage: v.optional(v.string()),
  stalledSince: v.optional(v.number()),
  expectedChunks: v.optional(v.number()),
  assetVersion: v.optional(v.number()),
};

export const sessionAssetFields = {
  combinedVideoAsset: v.optional(shownAsset),
  combinedSubtitleAsset: v.optional(shownAsset),
  manifestAsset: v.optional(shownAsset),
  totalAssetSize: v.optional(v.number()),
  assetCount: v.optional(v.number()),
  sceneCount: v.optional(v.number()),
  readyCount: v.optional(v.number()),
  assetsStatus: v.optional(assetsStatus),
};

/** The arguments of your `onSceneChange`; `scene` is null for one that was deleted. */
export const sceneChangeArgs = sceneChangeFields;
/** The arguments of your `onSessionChange`, with the session's totals. */
export const sessionChangeArgs = sessionChangeFields;

/** The shapes of the contract: what is stored, what the sidecar sends, what it gets back. */
import { v, type Infer } from "convex/values";

/** Grows when a sidecar and these functions would no longer understand each other. */
export const CONTRACT_VERSION = 1;

export const entityType = v.union(v.literal("scene"), v.literal("session"));
export type EntityType = Infer<typeof entityType>;

export const assetType = v.union(
  v.literal("video_chunk"),
  v.literal("source_code"),
  v.literal("thumbnail"),
  v.literal("subtitle"),
  v.literal("combined_video"),
  v.literal("manifest"),
);
export type AssetType = Infer<typeof assetType>;

export const assetsStatus = v.union(
  v.literal("pending"), // known, nothing there yet
  v.literal("uploading"),
  v.literal("ready"), // complete, and nothing owed
  v.literal("error"),
);
export type AssetsStatus = Infer<typeof assetsStatus>;
/** The status, in its `entityTotals`, of an entity whose assets were all removed: no session waits for it. */
export const EMPTIED = "emptied";

/** Where an object is and what it is. `s3Url` is stable and never signed. */
export const s3AssetFields = {
  s3Key: v.string(),
  s3Url: v.string(),
  bucket: v.string(),
  contentType: v.string(),
  size: v.number(),
  checksum: v.string(), // crc64nvme:<base64>
  etag: v.string(), // opaque, never a checksum
  s3VersionId: v.optional(v.string()),
  uploadedAt: v.number(),
};
export const s3Asset = v.object(s3AssetFields);
export type S3Asset = Infer<typeof s3Asset>;

/** An S3Asset as documents show it: `assetId` is the slot's digest; documents of earlier versions lack it. */
const shownAssetFields = { ...s3AssetFields, assetId: v.optional(v.string()) };
export const shownAsset = v.object(shownAssetFields);
export type ShownAsset = Infer<typeof shownAsset>;

/** An S3Asset that was replaced in its slot, and what it was. */
export const replacedAsset = v.object({
  ...shownAssetFields,
  assetType,
  name: v.string(),
  version: v.number(),
  replacedAt: v.number(),
});
export type ReplacedAsset = Infer<typeof replacedAsset>;

/** A scene as lists show it. */
export const sceneListFields = {
  sessionId: v.string(),
  projectId: v.string(),
  sceneId: v.string(),
  sortKey: v.optional(v.string()), // see naturalKey
  ownerId: v.optional(v.string()), // yours to set; the sidecar never does
  videoAsset: v.optional(shownAsset),
  sourceCodeAsset: v.optional(shownAsset),
  thumbnailAsset: v.optional(shownAsset),
  subtitleAsset: v.optional(shownAsset),
  assetsStatus,
  assetsErrorMessage: v.optional(v.string()),
  stalledSince: v.optional(v.number()), // when a sidecar was last heard of that owes something and is gone
  expectedChunks: v.optional(v.number()), // as the renderer's marker says
  assetVersion: v.number(), // 1 + replacements in the scene
  updatedAt: v.number(),
};
export const sceneFields = {
  ...sceneListFields,
  previousAssetVersions: v.array(replacedAsset), // the last 10, oldest first
};

const totals = {
  totalAssetSize: v.number(),
  assetCount: v.number(),
  sceneCount: v.number(),
  readyCount: v.number(),
};
/** What the table keeps. Totals are only in rows of earlier versions. */
export const sessionFields = {
  sessionId: v.string(),
  projectId: v.string(),
  ownerId: v.optional(v.string()), // yours to set; the sidecar never does
  combinedVideoAsset: v.optional(shownAsset),
  combinedSubtitleAsset: v.optional(shownAsset),
  manifestAsset: v.optional(shownAsset),
  totalAssetSize: v.optional(totals.totalAssetSize),
  assetCount: v.optional(totals.assetCount),
  sceneCount: v.optional(totals.sceneCount),
  readyCount: v.optional(totals.readyCount),
  assetsStatus: v.optional(assetsStatus),
  updatedAt: v.number(),
};
/** A session as front ends see it. */
export const sessionViewFields = { ...sessionFields, ...totals, assetsStatus };

/** An asset as rows keep it and front ends see it. */
export const assetReferenceFields = {
  sessionId: v.string(),
  projectId: v.string(),
  entityId: v.string(),
  entityType,
  assetType,
  name: v.string(),
  index: v.union(v.number(), v.null()),
  role: v.union(v.string(), v.null()),
  ...s3AssetFields,
  transfer: v.string(),
  version: v.number(),
  createdAt: v.number(),
  metadata: v.record(v.string(), v.string()),
};

/** `id` is the slot's digest: it stays whatever becomes of rows. */
export const assetReference = v.object({ id: v.string(), ...assetReferenceFields });

const opHead = { opId: v.string(), seq: v.number() };
/** Entity and asset types are strings here: one op that nobody understands is refused alone, not with its batch. */
const slotFields = {
  entityType: v.string(),
  entityId: v.string(),
  assetType: v.string(),
  name: v.string(),
};
export const putOp = v.object({
  ...opHead,
  kind: v.literal("put"),
  ...slotFields,
  index: v.union(v.number(), v.null()),
  role: v.union(v.string(), v.null()),
  transfer: v.string(),
  metadata: v.record(v.string(), v.string()),
  asset: s3Asset,
});
export const factsOp = v.object({
  ...opHead,
  kind: v.literal("facts"),
  sceneId: v.string(),
  complete: v.boolean(),
  owed: v.number(),
  error: v.union(v.string(), v.null()),
  reason: v.union(v.string(), v.null()),
  expected: v.optional(v.number()), // chunks, where a marker says how many there will be
});
export const removeOp = v.object({ ...opHead, kind: v.literal("remove"), ...slotFields });
export const op = v.union(putOp, factsOp, removeOp);
export type PutOp = Infer<typeof putOp>;
export type FactsOp = Infer<typeof factsOp>;
export type RemoveOp = Infer<typeof removeOp>;
export type Op = Infer<typeof op>;

/** The object that a version names. */
export const kept = v.object({ s3Key: v.string(), transfer: v.string() });

/**
 * What became of an op. `code` and `message` say why it was rejected, or from whom a slot was taken. `kept`:
 * the version names this object of the same bytes, and nothing names the one that was put.
 */
export const opResult = v.object({
  opId: v.string(),
  assetId: v.optional(v.string()), // of a put or a remove
  outcome: v.union(
    v.literal("applied"),
    v.literal("unchanged"),
    v.literal("stale"),
    v.literal("duplicate"),
    v.literal("rejected"),
  ),
  version: v.optional(v.number()),
  code: v.optional(v.string()),
  message: v.optional(v.string()),
  kept: v.optional(kept),
});
export type OpResult = Infer<typeof opResult>;
export type Effect = Omit<OpResult, "opId" | "assetId">;

export const registration = v.object({
  epoch: v.number(),
  lastSeq: v.number(),
  contractVersion: v.number(),
});

export const slot = v.object({
  sessionId: v.string(),
  entityType,
  entityId: v.string(),
  assetType,
  name: v.string(),
});
export type Slot = Infer<typeof slot>;

/** A version as its sidecar compares it with the bucket. */
export const versionRow = v.object({
  ...slot.fields,
  assetId: v.string(),
  version: v.number(),
  transfer: v.string(),
  bucket: v.string(),
  s3Key: v.string(),
  size: v.number(),
  checksum: v.string(),
  status: v.union(
    v.literal("current"), // its slot, or a scene's history, names the object
    v.literal("superseded"),
    v.literal("deleted"), // its scene was
    v.literal("expired"),
  ),
  newer: v.number(), // versions of the slot that came after it
  supersededAt: v.union(v.number(), v.null()),
});
export const versionPage = v.object({ versions: v.array(versionRow), cursor: v.union(v.string(), v.null()) });

/** A scene as its sidecar last told of it. */
export const unfinishedScene = v.object({
  projectId: v.string(),
  sessionId: v.string(),
  sceneId: v.string(),
  complete: v.boolean(),
  owed: v.number(),
  reason: v.union(v.string(), v.null()),
});
export const scenePage = v.object({
  scenes: v.array(unfinishedScene),
  cursor: v.union(v.string(), v.null()),
});

export const versionName = v.object({ ...slot.fields, version: v.number() });
export type VersionName = Infer<typeof versionName>;

export const currentAsset = v.object({
  ...s3AssetFields,
  assetId: v.string(),
  version: v.number(),
  transfer: v.string(),
  index: v.union(v.number(), v.null()),
  role: v.union(v.string(), v.null()),
  metadata: v.record(v.string(), v.string()),
});

export const assetPage = v.object({
  assets: v.array(assetReference),
  cursor: v.union(v.string(), v.null()),
});

/** An asset to be removed, if it still has the version that the caller saw. */
export const removal = v.object({ slot, expectedVersion: v.number() });
export type Removal = Infer<typeof removal>;

/** `changed`: a newer version came meanwhile, and stays. */
export const removalResult = v.object({
  assetId: v.string(),
  outcome: v.union(v.literal("removed"), v.literal("absent"), v.literal("changed")),
  version: v.optional(v.number()),
});
export type RemovalResult = Infer<typeof removalResult>;

/** Who would read; null for somebody who is not signed in. */
export const viewer = v.union(v.null(), v.object({ issuer: v.string(), subject: v.string() }));

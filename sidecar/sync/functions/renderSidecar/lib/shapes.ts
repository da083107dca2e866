/** The shapes of the contract: what is stored, what the sidecar sends, what it gets back. */
import { v, type Infer, type Validator } from "convex/values";

/**
 * Grows when a sidecar and these functions would no longer understand each other. 2: media facts of an asset, and how many
 * chunks a scene expects. 3: ops that wait for what the application makes. Each sidecar is answered by its own contract; one
 * that names no version speaks the first.
 */
export const CONTRACT_VERSION = 3;
export const contractWith = (theirs: number | undefined) => Math.min(theirs ?? 1, CONTRACT_VERSION);

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
  v.literal("pending"), // known, nothing to be played and nothing on its way
  v.literal("uploading"),
  v.literal("ready"), // complete, nothing owed, and a video to be played
  v.literal("error"),
);
export type AssetsStatus = Infer<typeof assetsStatus>;
/** The status, in its `entityTotals`, of an entity whose assets were all removed: no session waits for it. */
export const EMPTIED = "emptied";

/** What the structure of a film or picture tells, where it does; width and height are pixels as it is shown. */
const mediaFields = {
  duration: v.optional(v.number()), // milliseconds
  width: v.optional(v.number()),
  height: v.optional(v.number()),
  frameRate: v.optional(v.number()), // the mean, in frames per second
  codec: v.optional(v.string()), // of the video, else of the audio: "h264", "aac"
};

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
  ...mediaFields,
};
export const s3Asset = v.object(s3AssetFields);
export type S3Asset = Infer<typeof s3Asset>;

/** An S3Asset as documents show it: `assetId` is the slot's digest. Documents of earlier versions lack it, and the name. */
const shownAssetFields = { ...s3AssetFields, assetId: v.optional(v.string()), name: v.optional(v.string()) };
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
/** A scene with its history. */
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
const sessionDocumentFields = {
  sessionId: sessionFields.sessionId,
  projectId: sessionFields.projectId,
  ownerId: sessionFields.ownerId,
  combinedVideoAsset: sessionFields.combinedVideoAsset,
  combinedSubtitleAsset: sessionFields.combinedSubtitleAsset,
  manifestAsset: sessionFields.manifestAsset,
  updatedAt: sessionFields.updatedAt,
};
/** A session as front ends see it. */
export const sessionViewFields = { ...sessionDocumentFields, ...totals, assetsStatus };

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
  expected: v.optional(v.union(v.number(), v.null())), // chunks, as a marker says; null: none that still holds
});
export const removeOp = v.object({ ...opHead, kind: v.literal("remove"), ...slotFields });
export const op = v.union(putOp, factsOp, removeOp);
export type PutOp = Infer<typeof putOp>;
export type FactsOp = Infer<typeof factsOp>;
export type RemoveOp = Infer<typeof removeOp>;
export type Op = Infer<typeof op>;

/** What becomes of an op whose session or scene is not there: it makes them, or waits for the application to do so. */
export const onUnknownEntity = v.union(v.literal("create"), v.literal("wait"));
export type OnUnknownEntity = Infer<typeof onUnknownEntity>;

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
    v.literal("unknown"), // the application has not made its session or scene yet: nothing was done
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

/** The assets that show an object; `others`: so do some that are not the caller's, or very many. */
export const shownObject = v.object({ assets: v.array(assetReference), others: v.boolean() });

/** An object of a sidecar that is gone. Of one without a version nobody ever told. */
export const leftObject = v.object({ projectId: v.string(), version: v.union(v.null(), versionRow) });
export type LeftObject = Infer<typeof leftObject>;

/** Assets of which nothing tells any more, and where to go on; null: there are no further ones. */
export const orphanPage = v.object({ orphans: v.array(assetReference), cursor: v.union(v.string(), v.null()) });

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

/** A scene or a session, whose assets are asked for. */
export const entityNameFields = { sessionId: v.string(), entityType, entityId: v.string() };
export type EntityName = { sessionId: string; entityType: EntityType; entityId: string };

/** A version whose object is to go with its asset's. */
export const olderVersion = v.object({
  version: v.number(),
  transfer: v.string(),
  bucket: v.string(),
  s3Key: v.string(),
});
export type OlderVersion = Infer<typeof olderVersion>;

/** Who would read; null for somebody who is not signed in. */
export const viewer = v.union(v.null(), v.object({ issuer: v.string(), subject: v.string() }));

/** Who writes, as the wrappers found out: identity and environment stop at the component's boundary. */
export const caller = v.object({
  producer: v.string(), // tells sidecars of different issuers apart although they may share a sidecarId
  projects: v.union(v.literal("all"), v.array(v.string())), // that it may write
});
export type Caller = Infer<typeof caller>;

const names = v.union(v.literal("any"), v.array(v.string()));
/** Where a project's objects are. `hosts`: "cdn.example.com/lessons" means https; "http://10.0.0.7:9000" says otherwise. */
export const keys = v.object({ buckets: names, prefixes: names, hosts: v.optional(names) });
export type Keys = Infer<typeof keys>;
/** "anything": nobody has said what, and the issuer is believed. */
export const objectRule = v.union(v.literal("anything"), keys);
export type ObjectRule = Infer<typeof objectRule>;
export const projectRule = v.object({ projectId: v.string(), rule: objectRule });
export type ProjectRule = Infer<typeof projectRule>;

const system = { _id: v.string(), _creationTime: v.number() };
export const scene = v.object({ ...system, ...sceneFields });
export type Scene = Infer<typeof scene>;
export const listedScene = v.object({ ...system, ...sceneListFields });
export type ListedScene = Infer<typeof listedScene>;
/** A session without its totals: who reads it is not disturbed by its sidecars. */
export const sessionDocument = v.object({ ...system, ...sessionDocumentFields });
export type SessionDocument = Infer<typeof sessionDocument>;
export const session = v.object({ ...system, ...sessionViewFields });
export type Session = Infer<typeof session>;

/** A version that a slot of a scene held. */
export const pastVersion = v.object({
  assetId: v.string(),
  assetType,
  name: v.string(),
  version: v.number(),
  ...s3AssetFields,
  createdAt: v.number(),
  expired: v.boolean(), // its object has gone, or is about to
});
export type PastVersion = Infer<typeof pastVersion>;
export type AssetReference = Infer<typeof assetReference>;

/** A page as React's usePaginatedQuery wants it. */
export const pageOfShape = <Item>(item: Validator<Item, "required", string>) =>
  v.object({ page: v.array(item), isDone: v.boolean(), continueCursor: v.string() });

/** Handles of the application's functions. */
export const callbacks = v.object({
  onSceneChange: v.optional(v.string()),
  onSessionChange: v.optional(v.string()),
});
/** What they are called with; null for a document that is not there any more. */
export const sceneChangeFields = { sessionId: v.string(), sceneId: v.string(), scene: v.union(v.null(), scene) };
export const sessionChangeFields = { sessionId: v.string(), session: v.union(v.null(), session) };
/** A change that the application could not be told of yet. */
export const failedCallback = v.object({
  sessionId: v.string(),
  entityType,
  entityId: v.string(),
  attempts: v.number(),
  since: v.number(),
  failedAt: v.number(),
  error: v.string(),
});

const sum = {
  bytes: v.number(),
  assets: v.number(),
  entities: v.number(),
  scenes: v.number(),
  ready: v.number(),
  failed: v.number(),
};
/** Where a recount is: it is handed back to be continued. */
export const recountProgress = v.object({
  cursor: v.union(v.string(), v.null()),
  counted: v.object(sum),
  before: v.object({ ...sum, updatedAt: v.number() }), // what the counters said when it began
  wrong: v.number(),
});
export type RecountProgress = Infer<typeof recountProgress>;
export const recountResult = v.object({
  outcome: v.union(
    v.literal("more"), // ask again, with `progress`
    v.literal("exact"),
    v.literal("mended"), // the counters were not the sum, and are now
    v.literal("changed"), // somebody wrote meanwhile: begin anew
  ),
  progress: v.union(recountProgress, v.null()),
  wrong: v.number(), // entities that did not add up to their assets, and do now
});
export type RecountResult = Infer<typeof recountResult>;

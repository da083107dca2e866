/** The component's tables. Times are milliseconds since 1970. Numbers are float64: JSON has no other. */
import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";
import { stateFields } from "./lib/moving";
import {
  assetReferenceFields,
  assetType,
  entityType,
  s3AssetFields,
  sceneFields,
  sessionFields,
} from "./lib/shapes";

export default defineSchema({
  /** What a player subscribes to: one document per scene. Scene ids are unique within a session only. */
  scenes: defineTable(sceneFields)
    .index("by_session", ["sessionId", "sceneId"])
    .index("by_order", ["sessionId", "sortKey", "sceneId"])
    .index("by_sort_key", ["sortKey"]),

  /** One document per session. Its totals are the sum of `sidecarCounters`: see sessionTotals. */
  videoSessions: defineTable(sessionFields)
    .index("by_session", ["sessionId"])
    .index("by_project", ["projectId"]),

  /** One row per slot: what the slot holds now. `rank` and `order` make the index sort as a player wants. */
  assets: defineTable({
    ...assetReferenceFields,
    rank: v.number(), // 0 for role main, 2 for a segment, else 1
    order: v.number(), // the index; assets without one come last
    producer: v.string(), // who wrote the current version
    updatedAt: v.number(),
    assetId: v.optional(v.string()), // the slot's digest; rows of earlier versions get it from a migration
  })
    .index("by_asset", ["assetId"])
    .index("by_key", ["s3Key"])
    .index("by_project", ["projectId", "sessionId", "entityType", "entityId", "order", "name", "assetType"])
    .index("by_slot", ["sessionId", "entityType", "entityId", "assetType", "name"])
    .index("by_choice", ["sessionId", "entityType", "entityId", "assetType", "rank", "order", "name"])
    .index("by_entity", ["sessionId", "entityType", "entityId", "order", "name", "assetType"]),

  /** One row per version that a slot ever held; `expired` is set before retention deletes the object. */
  assetVersions: defineTable({
    sessionId: v.string(),
    projectId: v.string(),
    entityType,
    entityId: v.string(),
    assetType,
    name: v.string(),
    version: v.number(),
    ...s3AssetFields,
    transfer: v.string(),
    producer: v.string(),
    createdAt: v.number(),
    expired: v.boolean(),
    assetId: v.optional(v.string()), // as of `assets`
  })
    .index("by_asset", ["assetId", "version"])
    .index("by_slot", ["sessionId", "entityType", "entityId", "assetType", "name", "version"])
    .index("by_key", ["s3Key"])
    .index("by_producer", ["producer", "createdAt", "assetId", "version"]),

  /**
   * Idempotency and order. `latest` marks the newest op of its slot by its producer: such a row stays,
   * so that a request that wandered through the network for hours is still known to be stale.
   */
  appliedOps: defineTable({
    producer: v.string(),
    opId: v.string(),
    epoch: v.number(),
    seq: v.number(),
    slot: v.string(),
    content: v.string(), // what tells a retry from an opId used twice
    version: v.optional(v.number()),
    latest: v.boolean(),
  })
    .index("by_op", ["producer", "opId"])
    .index("by_slot", ["producer", "slot", "latest"])
    .index("by_seq", ["producer", "latest", "epoch", "seq"]),

  /** What each sidecar knows of a scene; the scene's status follows from these rows. */
  sceneFacts: defineTable({
    sessionId: v.string(),
    sceneId: v.string(),
    producer: v.string(),
    complete: v.boolean(),
    owed: v.number(),
    error: v.union(v.string(), v.null()),
    reason: v.union(v.string(), v.null()),
    expected: v.optional(v.number()), // chunks, as its marker says
    updatedAt: v.number(),
    goneSince: v.optional(v.number()), // its sidecar is gone, and this is not its last word: something is owed, or failed
  })
    .index("by_scene", ["sessionId", "sceneId", "producer"])
    .index("by_state", ["sessionId", "sceneId", "goneSince", "complete", "owed"])
    .index("by_error", ["sessionId", "sceneId", "error", "goneSince"])
    .index("by_live_error", ["sessionId", "sceneId", "goneSince", "error"])
    .index("by_gone", ["producer", "goneSince", "error", "complete", "owed"])
    .index("by_owed", ["producer", "owed", "sessionId", "sceneId"]),

  /** One small row per scene, and one for the session's own assets: what each adds to the totals. */
  entityTotals: defineTable({
    sessionId: v.string(),
    entityType,
    entityId: v.string(),
    bytes: v.number(),
    count: v.number(),
    status: v.string(),
    counted: v.optional(v.boolean()), // in a counter; rows of earlier versions are counted by a migration
  })
    .index("by_entity", ["sessionId", "entityType", "entityId"])
    .index("by_counted", ["counted", "sessionId"]),

  /** The totals of a session, each summand written by one producer alone; the base row's producer is "". */
  sidecarCounters: defineTable({
    sessionId: v.string(),
    producer: v.string(),
    bytes: v.number(),
    assets: v.number(),
    entities: v.number(),
    scenes: v.number(),
    ready: v.number(),
    failed: v.number(),
    updatedAt: v.number(),
  })
    .index("by_session", ["sessionId", "producer"])
    .index("by_producer", ["producer"]),

  /** When each sidecar was last heard of, to the minute; no other writer reads it. */
  sidecarHeartbeats: defineTable({
    producer: v.string(),
    seenAt: v.number(),
    goneSince: v.optional(v.number()),
    tag: v.optional(v.string()), // what its objects' keys carry; rows of earlier versions get it with a sign of life
  })
    .index("by_producer", ["producer"])
    .index("by_tag", ["tag"])
    .index("by_silence", ["goneSince", "seenAt"]),

  /** One row per journal that a sidecar ever had; the highest epoch is the one that may write. */
  sidecarEpochs: defineTable({
    producer: v.string(),
    journalId: v.string(),
    epoch: v.number(),
    registeredAt: v.number(),
    lastSeenAt: v.optional(v.number()), // of earlier versions: now in `sidecarHeartbeats`
  })
    .index("by_seen", ["lastSeenAt"])
    .index("by_epoch", ["producer", "epoch"])
    .index("by_journal", ["producer", "journalId"]),

  /** To which project a session belongs: written once, so that reading it never conflicts. */
  sessionProjects: defineTable({ sessionId: v.string(), projectId: v.string() }).index("by_session", [
    "sessionId",
  ]),

  /** Tombstones: ops for these sessions are refused. */
  deletedSessions: defineTable({
    sessionId: v.string(),
    deletedAt: v.number(),
    purgedAt: v.optional(v.number()), // nothing of it is left but its versions
    buriedTo: v.optional(v.string()), // a migration made tombstones of its scenes up to this one
    buried: v.optional(v.boolean()), // and of the last one
  })
    .index("by_state", ["buried", "purgedAt"])
    .index("by_session", ["sessionId"]),

  /** Tombstones: ops for these scenes are refused. */
  deletedScenes: defineTable({
    sessionId: v.string(),
    sceneId: v.string(),
    deletedAt: v.number(),
    purgedAt: v.optional(v.number()), // nothing of it is left
  }).index("by_scene", ["sessionId", "sceneId"]),

  /** One row: how far the move from the application's tables has come. */
  migrations: defineTable(stateFields),

  /** The application's functions that follow its documents. */
  callbacks: defineTable({ entityType, handle: v.string() }).index("by_entity_type", ["entityType"]),

  /** What the application has not been told yet; `error` says why, once it was tried. */
  notices: defineTable({
    projectId: v.string(),
    sessionId: v.string(),
    entityType,
    entityId: v.string(),
    producer: v.string(), // "" for a scene
    attempts: v.number(),
    since: v.number(),
    error: v.optional(v.string()),
    failedAt: v.optional(v.number()),
  })
    .index("by_entity", ["sessionId", "entityType", "entityId", "producer"])
    .index("by_project_failure", ["projectId", "failedAt"])
    .index("by_failure", ["failedAt"]),
});

/** A batch on its way: who sent it, and what its ops have touched so far. */
import type { AssetType, EntityType, ObjectRule, ReplacedAsset, VersionName } from "./shapes";

export type BatchArgs = {
  projectId: string;
  sessionId: string;
  epoch: number;
  ackedSeq: number;
};

/** What the ops changed in one scene, or in the session's own assets; written once, after the last op. */
export type Change = {
  entityType: EntityType;
  entityId: string;
  assetTypes: Set<AssetType>;
  replaced: ReplacedAsset[];
  factsChanged: boolean;
  expected: number | null | undefined; // chunks; null takes back what the same sidecar said, undefined says nothing
  removed: boolean;
  forgotten: VersionName[]; // of these slots the history up to these versions goes
  bytes: number;
  count: number;
};

export type Batch = BatchArgs & {
  producer: string;
  keys: ObjectRule; // what its objects may be
  mustExist: "nothing" | "scenes" | "session"; // what the application makes; "session": and has not made yet
  now: number;
  changes: Map<string, Change>;
};

export function newBatch(args: BatchArgs, of: Pick<Batch, "producer" | "keys" | "now">): Batch {
  const { projectId, sessionId, epoch, ackedSeq } = args;
  const { producer, keys, now } = of;
  return { projectId, sessionId, epoch, ackedSeq, producer, keys, mustExist: "nothing", now, changes: new Map() };
}

/** The change of an entity, begun empty. */
export function changeOf(batch: Batch, entityType: EntityType, entityId: string): Change {
  const key = `${entityType} ${entityId}`;
  const change = batch.changes.get(key) ?? {
    entityType,
    entityId,
    assetTypes: new Set(),
    replaced: [],
    factsChanged: false,
    expected: undefined,
    removed: false,
    forgotten: [],
    bytes: 0,
    count: 0,
  };
  batch.changes.set(key, change);
  return change;
}

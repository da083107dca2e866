/** What is wrong with an op, decided from the op alone. */
import type { AssetType, EntityType, FactsOp, Op, PutOp, RemoveOp, S3Asset, Slot } from "./shapes";

export type Problem = { code: string; message: string };

/** Where each type of asset may belong. */
const ENTITIES: Record<AssetType, EntityType[]> = {
  video_chunk: ["scene"],
  source_code: ["scene", "session"],
  thumbnail: ["scene", "session"],
  subtitle: ["scene", "session"],
  combined_video: ["session"],
  manifest: ["session"],
};
const ID_CHARS_MAX = 1024;
const TEXT_CHARS_MAX = 4096;
const METADATA_CHARS_MAX = 16_384;
const OBJECT_BYTES_MAX = 50 * 1024 ** 4; // what S3 itself can hold in one object

/** Null for an op that may be tried. */
export function problemWith(op: Op, sessionId: string): Problem | null {
  if (!isCount(op.seq) || op.seq === 0) return invalid("seq is not a positive integer");
  if (!isId(op.opId)) return invalid("opId is empty or too long");
  switch (op.kind) {
    case "put":
      return problemWithSlot(op, sessionId) ?? problemWithPut(op) ?? problemWithAsset(op.asset);
    case "remove":
      return problemWithSlot(op, sessionId);
    case "facts":
      return problemWithFacts(op);
  }
}

/** The slot of an op that `problemWith` found sound. */
export function slotOf(op: PutOp | RemoveOp, sessionId: string): Slot {
  return {
    sessionId,
    entityType: op.entityType as EntityType,
    entityId: op.entityId,
    assetType: op.assetType as AssetType,
    name: op.name,
  };
}

function problemWithSlot(op: PutOp | RemoveOp, sessionId: string): Problem | null {
  const entities = Object.hasOwn(ENTITIES, op.assetType) ? ENTITIES[op.assetType as AssetType] : [];
  if (!entities.includes(op.entityType as EntityType)) {
    return { code: "UNKNOWN_TYPE", message: `a ${op.entityType} has no asset of type "${op.assetType}"` };
  }
  if (!isId(op.entityId)) return invalid("entityId is empty or too long");
  if (!isId(op.name)) return invalid("name is empty or too long");
  if (op.entityType === "session" && op.entityId !== sessionId) {
    return { code: "WRONG_SESSION", message: `an asset of session "${op.entityId}" came with "${sessionId}"` };
  }
  return null;
}

function problemWithPut(op: PutOp): Problem | null {
  if (op.index !== null && !Number.isFinite(op.index)) return invalid("index is not a number");
  if (op.transfer.length > ID_CHARS_MAX) return invalid("transfer is too long");
  if ((op.role?.length ?? 0) > ID_CHARS_MAX) return invalid("role is too long");
  if (JSON.stringify(op.metadata).length > METADATA_CHARS_MAX) return invalid("metadata is too large");
  return null;
}

function problemWithAsset(asset: S3Asset): Problem | null {
  if (!isCount(asset.size) || asset.size > OBJECT_BYTES_MAX) return invalid(`size ${asset.size} is absurd`);
  if (!isCount(asset.uploadedAt)) return invalid(`uploadedAt ${asset.uploadedAt} is no time`);
  if (!isId(asset.s3Key) || !isId(asset.bucket)) return invalid("s3Key or bucket is empty or too long");
  if (!isId(asset.checksum)) return invalid("checksum is empty or too long");
  const numbers = [asset.duration, asset.width, asset.height, asset.frameRate];
  if (!numbers.every((number) => number === undefined || (Number.isFinite(number) && number > 0))) {
    return invalid("duration, width, height or frameRate is no positive number");
  }
  const rest = [asset.s3Url, asset.contentType, asset.etag, asset.s3VersionId ?? "", asset.codec ?? ""];
  return rest.some((text) => text.length > TEXT_CHARS_MAX) ? invalid("a field of the asset is too long") : null;
}

function problemWithFacts(op: FactsOp): Problem | null {
  if (!isId(op.sceneId)) return invalid("sceneId is empty or too long");
  if (!isCount(op.expected ?? 0)) return invalid(`expected ${op.expected} is no count`);
  if (!isCount(op.owed)) return invalid(`owed ${op.owed} is no count`);
  const texts = [op.error ?? "", op.reason ?? ""];
  return texts.some((text) => text.length > TEXT_CHARS_MAX) ? invalid("error or reason is too long") : null;
}

const invalid = (message: string): Problem => ({ code: "INVALID", message });
const isCount = (value: number) => Number.isSafeInteger(value) && value >= 0;
const isId = (text: string) => text.length > 0 && text.length <= ID_CHARS_MAX;

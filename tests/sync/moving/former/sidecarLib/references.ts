/** An asset as front ends and backends see it. */
import type { Doc } from "../_generated/dataModel";
import { assetIdOf } from "./identity";
import { toS3Asset } from "./rows";

export async function toAssetReference(row: Doc<"assets">) {
  const { sessionId, projectId, entityId, entityType, assetType } = row;
  const { name, index, role, transfer, version, createdAt, metadata } = row;
  return {
    id: await assetIdOf(row),
    ...{ sessionId, projectId, entityId, entityType, assetType },
    ...{ name, index, role, transfer, version, createdAt, metadata },
    ...toS3Asset(row),
  };
}

/** Reading slots for a sidecar that has lost its journal, and for reconciliation. */
import type { QueryCtx } from "../_generated/server";
import { projectOf, requireProject, type Sidecar } from "./auth";
import { fail } from "./errors";
import { assetIdOf } from "./identity";
import { assetRow, toS3Asset } from "./rows";
import type { Slot } from "./shapes";

export const MAX_SLOTS = 500;

/** Throws FORBIDDEN if one of the slots is in a project that is not the caller's. */
export async function findCurrentAssets(ctx: QueryCtx, sidecar: Sidecar, slots: Slot[]) {
  if (slots.length > MAX_SLOTS) {
    fail("BATCH_TOO_LARGE", `${slots.length} slots in one call; at most ${MAX_SLOTS}`);
  }
  for (const sessionId of new Set(slots.map((slot) => slot.sessionId))) {
    const projectId = await projectOf(ctx, sessionId);
    if (projectId !== null) requireProject(sidecar, projectId);
  }
  return await Promise.all(slots.map((slot) => currentOf(ctx, slot)));
}

async function currentOf(ctx: QueryCtx, slot: Slot) {
  const row = await assetRow(ctx, slot);
  if (row === null) return null;
  const { version, transfer, index, role, metadata } = row;
  return { assetId: await assetIdOf(row), ...toS3Asset(row), version, transfer, index, role, metadata };
}

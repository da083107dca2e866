/** Reading for front ends: what the rules of sidecarAccess.ts refuse looks as if it did not exist. */
import type { Doc } from "../_generated/dataModel";
import type { QueryCtx } from "../_generated/server";
import { sessionRow } from "./rows";
import { rules, type ReadableAsset, type Viewer } from "./rules";
import type { Slot } from "./shapes";

/** May the caller see this asset of a session that is readable? */
export type Readable = (asset: Pick<ReadableAsset, "entityType" | "entityId" | "assetType" | "name">) => Promise<boolean>;

export async function readableSession(
  ctx: QueryCtx,
  sessionId: string,
): Promise<Doc<"videoSessions"> | null> {
  const session = await sessionRow(ctx, sessionId);
  if (session === null || (await rules.canReadSession(ctx, session))) return session;
  console.warn(`canReadSession in convex/sidecarAccess.ts refused session "${sessionId}"`);
  return null;
}

/** The rule for a session's assets; without `canReadAsset` who may read a session may read them all. */
export async function assetRule(ctx: QueryCtx, session: Doc<"videoSessions">): Promise<Readable> {
  const { canReadAsset } = rules;
  if (canReadAsset === undefined) return async () => true;
  const viewer = viewerOf(await ctx.auth.getUserIdentity());
  const { sessionId, projectId } = session;
  return async ({ entityType, entityId, assetType, name }) =>
    await canReadAsset(ctx, { sessionId, projectId, entityType, entityId, assetType, name }, viewer);
}

/** Both rules, answered as if this viewer had called. */
export async function isReadableBy(
  ctx: QueryCtx,
  viewer: Viewer,
  session: Doc<"videoSessions">,
  asset: Slot,
): Promise<boolean> {
  const identity = viewer && { ...viewer, tokenIdentifier: `${viewer.issuer}|${viewer.subject}` };
  const theirs = { ...ctx, auth: { getUserIdentity: () => Promise.resolve(identity) } };
  if (!(await rules.canReadSession(theirs, session))) return false;
  return await (await assetRule(theirs, session))(asset);
}

function viewerOf(identity: { issuer: string; subject: string } | null): Viewer {
  return identity && { issuer: identity.issuer, subject: identity.subject };
}

/** Reading for front ends: what canReadSession refuses looks as if it did not exist. */
import type { Doc } from "../_generated/dataModel";
import type { QueryCtx } from "../_generated/server";
import { canReadSession } from "../sidecarAccess";
import { sessionRow } from "./rows";

export async function readableSession(
  ctx: QueryCtx,
  sessionId: string,
): Promise<Doc<"videoSessions"> | null> {
  const session = await sessionRow(ctx, sessionId);
  if (session === null || (await canReadSession(ctx, session))) return session;
  console.warn(`canReadSession in convex/sidecarAccess.ts refused session "${sessionId}"`);
  return null;
}

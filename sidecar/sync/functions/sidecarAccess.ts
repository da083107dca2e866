/**
 * Who may read, and who may write. This file is yours: `sidecar convex install` writes it once and
 * never touches it again.
 */
import type { Doc } from "./_generated/dataModel";
import type { QueryCtx } from "./_generated/server";

/** Convex's environment variables; declared here for projects without @types/node. */
declare const process: { env: Record<string, string | undefined> };

/**
 * May the caller of this query see this session, its scenes and its assets? Nobody may until you say
 * so: the queries then answer as if the session did not exist. A typical rule:
 *
 *     const identity = await ctx.auth.getUserIdentity();
 *     return identity !== null && session.ownerId === identity.subject;
 */
export async function canReadSession(
  _ctx: QueryCtx,
  _session: Doc<"videoSessions">,
): Promise<boolean> {
  return false;
}

/**
 * Which projects may the sidecars of this issuer write: a list of project ids, or "all". One issuer per
 * trust domain: give each group of renderers that must not touch another's projects an issuer and a key
 * of its own in auth.config.ts, and name its projects here.
 */
export function projectsOf(issuer: string): string[] | "all" {
  return issuer === process.env.SIDECAR_JWT_ISSUER ? "all" : [];
}

/**
 * Who may read, and who may write. This file is yours: `sidecar convex install` writes it once and
 * never touches it again.
 */
import type { Doc } from "./_generated/dataModel";
import type { QueryCtx } from "./_generated/server";
import type { Keys, ReadableAsset, Role, Viewer } from "./sidecarLib/rules";

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

/**
 * May this issuer begin a session that nobody has written yet, for a project of its own? The first to write a session
 * has it for good. A session that your application made is the project's that it names, whatever this says.
 */
export function ownsSession(issuer: string, projectId: string, sessionId: string): boolean {
  return projectsOf(issuer) === "all" || sessionId.startsWith(`${projectId}/`);
}

/**
 * Where the objects of a project are: the sidecars of its issuers can name no other. `hosts` of a CDN, or of a store
 * that is not Amazon's, may be in an asset's s3Url ("cdn.example.com"); any other address is replaced by Amazon's.
 */
export function keysOf(projectId: string): Keys {
  return { buckets: "any", prefixes: [`${projectId}/`], hosts: [] };
}

/**
 * What an issuer is beside a writer of its projects: "producer", or "backend", which may list, remove and expire
 * whatever is in them, and ask whether a viewer may read. Give your backend an issuer of its own.
 */
export function roleOf(_issuer: string): Role {
  return "producer";
}

/** May a viewer who may read a session see this asset of it? A learner needs no source code. */
export async function canReadAsset(_ctx: QueryCtx, asset: ReadableAsset, _viewer: Viewer): Promise<boolean> {
  return asset.assetType !== "source_code";
}

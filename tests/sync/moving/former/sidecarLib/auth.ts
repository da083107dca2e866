/** Who is calling, and what that caller may write. */
import type { Auth } from "convex/server";
import type { QueryCtx } from "../_generated/server";
import { fail } from "./errors";
import { rules } from "./rules";

/**
 * `producer` tells sidecars of different issuers apart although they may share a sidecarId. `isTrusted`: there is no
 * project that it may not write.
 */
export type Sidecar = {
  producer: string;
  isTrusted: boolean;
  mayWrite: (projectId: string) => boolean;
  mayClaim: (projectId: string, sessionId: string) => boolean;
};

/** The caller of a public function: a JWT of an issuer that sidecarAccess.ts knows as a writer. */
export async function requireSidecar(ctx: { auth: Auth }, sidecarId?: string): Promise<Sidecar> {
  const identity = await ctx.auth.getUserIdentity();
  if (identity === null) {
    fail("UNAUTHENTICATED", "no identity came with this call: send a sidecar's JWT");
  }
  if (sidecarId !== undefined && identity.subject !== sidecarId) {
    fail("FORBIDDEN", `the token's sub is "${identity.subject}", but the call is for sidecar "${sidecarId}"`);
  }
  const { issuer } = identity;
  const projects = rules.projectsOf(issuer);
  if (projects.length === 0) {
    fail("FORBIDDEN", `issuer "${issuer}" may write no project: see projectsOf in sidecarAccess.ts`);
  }
  return {
    producer: `${issuer}|${identity.subject}`,
    isTrusted: projects === "all",
    mayWrite: (projectId) => projects === "all" || projects.includes(projectId),
    mayClaim: (projectId, sessionId) =>
      rules.ownsSession === undefined
        ? projects === "all" || sessionId.startsWith(`${projectId}/`)
        : rules.ownsSession(issuer, projectId, sessionId),
  };
}

/** The caller of a backend's function: its issuer has that role, and projects. */
export async function requireBackend(ctx: { auth: Auth }): Promise<Sidecar> {
  const backend = await requireSidecar(ctx);
  const issuer = (await ctx.auth.getUserIdentity())?.issuer ?? "";
  if (rules.roleOf?.(issuer) !== "backend") {
    fail("FORBIDDEN", `issuer "${issuer}" is not a backend: see roleOf in sidecarAccess.ts`);
  }
  return backend;
}

/** The caller of an internal twin: whoever holds a deploy key, which Convex has checked. */
export function deployedSidecar(sidecarId?: string): Sidecar {
  const producer = `deploy key|${sidecarId ?? ""}`;
  return { producer, isTrusted: true, mayWrite: () => true, mayClaim: () => true };
}

/** Throws FORBIDDEN unless the caller's issuer is mapped to this project. */
export function requireProject(sidecar: Sidecar, projectId: string): void {
  if (!sidecar.mayWrite(projectId)) {
    fail("FORBIDDEN", `${sidecar.producer} may not write project "${projectId}": see sidecarAccess.ts`);
  }
}

/** The project that a session belongs to, or null for a session that nobody has written yet. */
export async function projectOf(ctx: Pick<QueryCtx, "db">, sessionId: string): Promise<string | null> {
  const row = await ctx.db
    .query("sessionProjects")
    .withIndex("by_session", (q) => q.eq("sessionId", sessionId))
    .unique();
  if (row !== null) return row.projectId;
  const session = await ctx.db
    .query("videoSessions")
    .withIndex("by_session", (q) => q.eq("sessionId", sessionId))
    .first();
  return session?.projectId ?? null;
}

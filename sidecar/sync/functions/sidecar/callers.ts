/** Who is calling, and what that caller may write: resolved here, where identity and environment are known. */
import type { Auth } from "convex/server";
import { fail } from "../renderSidecar/lib/errors";
import type { Caller } from "../renderSidecar/lib/shapes";
import { rules } from "./rules";

/** A caller, and whether it may begin a session that nobody has written yet. */
export type Writer = { caller: Caller; mayClaim: (projectId: string, sessionId: string) => boolean };

/** The caller of a public function: a JWT of an issuer that sidecarAccess.ts knows as a writer. */
export async function requireSidecar(ctx: { auth: Auth }, sidecarId?: string): Promise<Writer> {
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
    caller: { producer: `${issuer}|${identity.subject}`, projects },
    mayClaim: (projectId, sessionId) =>
      rules.ownsSession === undefined
        ? projects === "all" || sessionId.startsWith(`${projectId}/`)
        : rules.ownsSession(issuer, projectId, sessionId),
  };
}

/** The caller of a backend's function: its issuer has that role, and projects. */
export async function requireBackend(ctx: { auth: Auth }): Promise<Caller> {
  const { caller } = await requireSidecar(ctx);
  const issuer = (await ctx.auth.getUserIdentity())?.issuer ?? "";
  if (rules.roleOf?.(issuer) !== "backend") {
    fail("FORBIDDEN", `issuer "${issuer}" is not a backend: see roleOf in sidecarAccess.ts`);
  }
  return caller;
}

/** The caller of an internal twin: whoever holds a deploy key, which Convex has checked. */
export function deployedSidecar(sidecarId?: string): Writer {
  const caller: Caller = { producer: `deploy key|${sidecarId ?? ""}`, projects: "all" };
  return { caller, mayClaim: () => true };
}

/** What a caller may write. Who it is, the wrappers have found out. */
import type { QueryCtx } from "../_generated/server";
import { fail } from "./errors";
import type { Caller } from "./shapes";

export function mayWrite({ projects }: Caller, projectId: string): boolean {
  return projects === "all" || projects.includes(projectId);
}

/** Throws FORBIDDEN unless the caller's issuer is mapped to this project. */
export function requireProject(caller: Caller, projectId: string): void {
  if (!mayWrite(caller, projectId)) {
    fail("FORBIDDEN", `${caller.producer} may not write project "${projectId}": see sidecarAccess.ts`);
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

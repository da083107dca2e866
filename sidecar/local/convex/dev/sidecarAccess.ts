/** For `sidecar dev`, `sidecar demo` and the local server's --dev-auth only: everybody may do everything. */
import type { QueryCtx } from "./_generated/server";
import type { ReadableSession, Role } from "./sidecar/rules";

export async function canReadSession(_ctx: QueryCtx, _session: ReadableSession): Promise<boolean> {
  return true;
}

export function projectsOf(_issuer: string): string[] | "all" {
  return "all";
}

export const roleOf = (_issuer: string): Role => "backend";

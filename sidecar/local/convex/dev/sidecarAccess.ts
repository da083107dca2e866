/** For `sidecar dev`, `sidecar demo` and the local server's --dev-auth only: everybody may do everything. */
import type { QueryCtx } from "./_generated/server";
import type { ReadableSession, Role } from "./sidecar/rules";
import type { Signable, Urls } from "./sidecar/urls";

declare const process: { env: Record<string, string | undefined> };

export async function canReadSession(_ctx: QueryCtx, _session: ReadableSession): Promise<boolean> {
  return true;
}

export function projectsOf(_issuer: string): string[] | "all" {
  return "all";
}

export const roleOf = (_issuer: string): Role => "backend";

/** Signed, where the servers beside this one gave a key of theirs: as in production. */
export function urlsOf(_object: Signable): Urls {
  const { SIDECAR_S3_ACCESS_KEY_ID: accessKeyId, SIDECAR_S3_SECRET_ACCESS_KEY: secretAccessKey } = process.env;
  const { SIDECAR_S3_REGION: region, SIDECAR_S3_ENDPOINT: endpoint } = process.env;
  if (accessKeyId === undefined) return { by: "public" };
  return { by: "s3", lifeSeconds: 900, region, endpoint, accessKeyId, secretAccessKey };
}

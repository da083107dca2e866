/** Two studios that may write a project each, a backend, and sessions that their owner alone may see. */
import type { QueryCtx } from "./_generated/server";
import { own } from "./own";
import type { SceneCallback } from "./sidecar/callbacks";
import type { Keys, ReadableAsset, ReadableSession, Role } from "./sidecar/rules";
import type { Urls } from "./sidecar/urls";

const PROJECTS: Record<string, string[]> = {
  "https://alpha.test": ["alpha"],
  "https://beta.test": ["beta"],
  "https://backend.test": ["alpha", "beta"],
};

export async function canReadSession(ctx: QueryCtx, session: ReadableSession): Promise<boolean> {
  const identity = await ctx.auth.getUserIdentity();
  return identity !== null && identity.subject === session.ownerId;
}

export const canReadAsset = (_ctx: QueryCtx, { assetType }: ReadableAsset): boolean => assetType !== "source_code";
export const projectsOf = (issuer: string): string[] => PROJECTS[issuer] ?? [];
export const roleOf = (issuer: string): Role => (issuer === "https://backend.test" ? "backend" : "producer");
export const ownsSession = (_issuer: string, projectId: string, sessionId: string): boolean =>
  sessionId.startsWith(`${projectId}/`);
export const keysOf = (projectId: string): Keys => ({ buckets: ["media"], prefixes: [`${projectId}/`], hosts: [] });
export const urlsOf = (): Urls => ({
  by: "s3",
  lifeSeconds: 900,
  region: "eu-central-1",
  endpoint: undefined,
  accessKeyId: "KEY",
  secretAccessKey: "SECRET",
});
export const onSceneChange: SceneCallback = own.lessons.sceneChanged;

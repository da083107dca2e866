/** The application's rules, of sidecarAccess.ts: a file of an earlier version lacks some, which have a default here. */
import type { Infer } from "convex/values";
import type { QueryCtx } from "../_generated/server";
import type {
  AssetType,
  Caller,
  EntityType,
  Keys,
  ObjectRule,
  ProjectRule,
  SessionDocument,
  viewer,
} from "../renderSidecar/lib/shapes";
import * as access from "../sidecarAccess";
import type { SceneCallback, SessionCallback } from "./callbacks";
import type { Signable, Urls } from "./urls";

export type { Keys } from "../renderSidecar/lib/shapes";
/** A session as canReadSession sees it. */
export type ReadableSession = SessionDocument;
/** A producer writes what it made itself; a backend lists, removes and expires what is in its projects. */
export type Role = "producer" | "backend";
export type Viewer = Infer<typeof viewer>;
/** `name` is null of an asset that a document of an earlier version shows. */
export type ReadableAsset = {
  sessionId: string;
  projectId: string;
  entityType: EntityType;
  entityId: string;
  assetType: AssetType;
  name: string | null;
};

type Rules = {
  // a method: a file of before the component takes Doc<"videoSessions">, whose _id is more than a string
  canReadSession(ctx: QueryCtx, session: ReadableSession): boolean | Promise<boolean>;
  projectsOf: (issuer: string) => string[] | "all";
  roleOf?: (issuer: string) => Role;
  ownsSession?: (issuer: string, projectId: string, sessionId: string) => boolean;
  keysOf?: (projectId: string) => Keys | null | undefined;
  canReadAsset?: (ctx: QueryCtx, asset: ReadableAsset, viewer: Viewer) => boolean | Promise<boolean>;
  urlsOf?: (object: Signable) => Urls | Promise<Urls>;
  onSceneChange?: SceneCallback;
  onSessionChange?: SessionCallback;
};

export const rules: Rules = access;

/**
 * Which objects a project may name. Without `keysOf` an issuer that may write every project is believed, as it could
 * lie about none that is not its own; any other keeps below its project's name. A `keysOf` that knows no such project
 * allows nothing.
 */
export function keysFor(projectId: string, { projects }: Caller): ObjectRule {
  if (rules.keysOf !== undefined) return rules.keysOf(projectId) ?? { buckets: [], prefixes: [] };
  return projects === "all" ? "anything" : { buckets: "any", prefixes: [`${projectId}/`], hosts: "any" };
}

export function rulesFor(projectIds: (string | null)[], caller: Caller): ProjectRule[] {
  const known = new Set(projectIds.filter((projectId) => projectId !== null));
  return [...known].map((projectId) => ({ projectId, rule: keysFor(projectId, caller) }));
}

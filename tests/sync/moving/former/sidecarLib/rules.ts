/** The application's rules, of sidecarAccess.ts: a file of an earlier version lacks some, which have a default here. */
import type { Infer } from "convex/values";
import type { Doc } from "../_generated/dataModel";
import type { QueryCtx } from "../_generated/server";
import * as access from "../sidecarAccess";
import type { AssetType, EntityType, viewer } from "./shapes";

/** Where a project's objects are. `hosts`: "cdn.example.com/lessons" means https; "http://10.0.0.7:9000" says otherwise. */
export type Keys = { buckets: string[] | "any"; prefixes: string[] | "any"; hosts?: string[] | "any" };
/** A producer writes what it made itself; a backend lists, removes and expires what is in its projects. */
export type Role = "producer" | "backend";
export type Viewer = Infer<typeof viewer>;
/** `name` is null where a document tells the type alone. */
export type ReadableAsset = {
  sessionId: string;
  projectId: string;
  entityType: EntityType;
  entityId: string;
  assetType: AssetType;
  name: string | null;
};

type Rules = {
  canReadSession: (ctx: QueryCtx, session: Doc<"videoSessions">) => boolean | Promise<boolean>;
  projectsOf: (issuer: string) => string[] | "all";
  roleOf?: (issuer: string) => Role;
  ownsSession?: (issuer: string, projectId: string, sessionId: string) => boolean;
  keysOf?: (projectId: string) => Keys | null | undefined;
  canReadAsset?: (ctx: QueryCtx, asset: ReadableAsset, viewer: Viewer) => boolean | Promise<boolean>;
};

export const rules: Rules = access;

/** What both parts of `sidecar convex migrate` must know: the tables, and how far the move has come. */
import { v, type Infer } from "convex/values";
import { defined } from "./optional";

/** The tables that an installation of before the component has in the application, in the order of the move. */
export const MOVED = [
  "sessionProjects",
  "videoSessions",
  "scenes",
  "assets",
  "assetVersions",
  "entityTotals",
  "sidecarCounters",
  "sceneFacts",
  "deletedScenes",
  "appliedOps",
  "sidecarEpochs",
  "sidecarHeartbeats",
] as const;

export const ROWS_PER_STEP = 100;
export const JOBS_PER_STEP = 500;

/** Where the rows are. */
export const home = v.union(v.literal("application"), v.literal("component"));
export type Home = Infer<typeof home>;

/** `stopping` jobs, `clearing` the tables of the other side, `copying`, `comparing`, `starting` jobs. */
export const phase = v.union(
  v.literal("resting"),
  v.literal("stopping"),
  v.literal("clearing"),
  v.literal("copying"),
  v.literal("comparing"),
  v.literal("starting"),
);
export type Phase = Infer<typeof phase>;

export const stateFields = {
  home, // of the rows that count; the other side's are a copy that is being made, or is kept
  phase,
  table: v.number(), // the position in MOVED
  from: v.union(v.string(), v.null()), // a cursor in the table that is read
  to: v.union(v.string(), v.null()), // a cursor in its copy
  found: v.number(), // jobs that this round of `stopping` met
  rows: v.number(), // copied or compared in this phase
};
export type State = { home: Home; phase: Phase; table: number; from: string | null; to: string | null; found: number; rows: number };

/** A row without its place as text; two rows are the same if their texts are. */
export function canonical(row: { _id: unknown; _creationTime: number }): string {
  return JSON.stringify(defined({ ...row, _id: undefined, _creationTime: undefined }), sorted);
}

function sorted(_: string, value: unknown): unknown {
  if (value === null || typeof value !== "object" || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/**
 * `sidecar convex migrate` calls `step` until it says `resting`: each call is one transaction that copies, compares or
 * clears a bounded number of rows and notes how far it came. Whoever dies between two calls has lost nothing, and two
 * at once do no harm. While it goes on, no sidecar may write: every step makes sure of that.
 */
import {
  componentsGeneric,
  internalMutationGeneric,
  makeFunctionReference,
  type GenericDataModel,
  type GenericDocument,
  type GenericMutationCtx,
} from "convex/server";
import { ConvexError, v, type Value } from "convex/values";
import type { ComponentApi } from "./renderSidecar/_generated/component";
import {
  canonical,
  home,
  JOBS_PER_STEP,
  MOVED,
  ROWS_PER_STEP,
  stateFields,
  type Home,
  type Phase,
  type State,
} from "./renderSidecar/lib/moving";
import schema from "./schema";

type Ctx = GenericMutationCtx<GenericDataModel>;
type Place = { table: (typeof MOVED)[number]; cursor: string | null; most?: number };
type Page = { rows: string[]; cursor: string; isDone: boolean };
const { migration, scenes, sessions } = componentsGeneric()["renderSidecar"] as unknown as ComponentApi<"renderSidecar">;

/** What every call of a sidecar is answered while rows are moved. */
const HELD = "MIGRATING";
const RESTING = { phase: "resting", table: 0, from: null, to: null, found: 0, rows: 0 } as const;
/** Jobs go with the rows of the last tables. */
const STARTED = MOVED.indexOf("deletedScenes");
/** What an application's own mutations write: see adopt. */
const ADOPTED = ["videoSessions", "scenes", "deletedScenes"] as const;
/** No mutation lasts as long. */
const MUTATION_MS = 10_000;
const FIRST: State = { home: "application", ...RESTING };

/** One step towards `to`; `module` is the file of the functions that sidecars call. */
export const step = internalMutationGeneric({
  args: { to: home, module: v.string() },
  returns: v.object({ ...stateFields, name: v.string() }),
  handler: async (ctx: Ctx, { to, module }): Promise<State & { name: string }> => {
    await requireHeld(ctx, module);
    const state = await begun(ctx, to);
    const next = state.phase === "resting" ? state : await advance(ctx, state, to);
    await ctx.runMutation(migration.save, next);
    return { ...next, name: MOVED[next.table] ?? "" };
  },
});

/**
 * After the switch: what the application itself wrote after its tables were compared is lost but for this, some rows at
 * a time. The state's `from` says that it is due, `found` since when. True once all was looked at, or nothing is due.
 * `unclear` are documents whose owner is another one on each side, and nobody knows which is newer: they stay.
 */
export const adopt = internalMutationGeneric({
  args: {},
  returns: v.object({ name: v.string(), rows: v.number(), unclear: v.array(v.string()), isDone: v.boolean() }),
  handler: async (ctx: Ctx) => {
    const state = await ctx.runQuery(migration.state, {});
    const name = ADOPTED[state?.table ?? 0];
    if (state?.home !== "component" || state.phase !== "resting" || state.from === null || name === undefined) {
      return { name: "", rows: 0, unclear: [], isDone: true };
    }
    const cursor = state.from === "" ? null : state.from;
    const page = await ctx.db.query(name).paginate({ cursor, numItems: ROWS_PER_STEP });
    let rows = 0;
    const unclear: string[] = [];
    for (const row of page.page) {
      const adopted = await adoptRow(ctx, name, row, state.found);
      if (adopted === true) rows += 1;
      if (typeof adopted === "string") unclear.push(adopted);
    }
    const isDone = page.isDone && state.table + 1 === ADOPTED.length;
    const next = page.isDone ? { table: state.table + 1, from: "" } : { from: page.continueCursor };
    await ctx.runMutation(migration.save, isDone ? { ...RESTING, home: "component" } : { ...state, ...next });
    return { name, rows, unclear, isDone };
  },
});

type Owned = { updatedAt: number; ownerId?: string };
type Row = Owned & { _creationTime: number; sessionId: string; projectId: string; sceneId: string };

/** A row that was made since, or an owner that was named since. The name of a row whose owner is unclear. */
async function adoptRow(
  ctx: Ctx,
  table: (typeof ADOPTED)[number],
  row: GenericDocument,
  since: number,
): Promise<boolean | string> {
  const { _creationTime, sessionId, projectId, sceneId, ownerId } = row as Row;
  const isNew = _creationTime >= since;
  if (table === "deletedScenes") {
    if (isNew) await ctx.runMutation(scenes.remove, { sessionId, sceneId });
    return isNew;
  }
  const isScene = table === "scenes";
  const known = await (isScene ? ctx.runQuery(scenes.get, { sessionId, sceneId }) : ctx.runQuery(sessions.document, { sessionId }));
  const whose = known === null ? (isNew ? "theirs" : "ours") : newerOwner(row as Row, known, since);
  if (whose === "unclear") return isScene ? `scene "${sceneId}" of "${sessionId}"` : `session "${sessionId}"`;
  if (whose === "ours") return false;
  const session = { sessionId, projectId, ...(ownerId === undefined ? {} : { ownerId }) };
  if (isScene) await ctx.runMutation(scenes.ensure, { ...session, sceneId });
  else await ctx.runMutation(sessions.ensure, session);
  return true;
}

/**
 * Which side says it last: the application's, if nobody has touched the component's document since it was copied. That
 * an owner was taken away is nothing that can be said again.
 */
function newerOwner(row: Owned, known: Owned, since: number): "theirs" | "ours" | "unclear" {
  if (row.ownerId === known.ownerId) return "ours";
  if (known.ownerId === undefined) return "theirs";
  const isUntouched = known.updatedAt === row.updatedAt || known.updatedAt < since;
  if (row.ownerId === undefined) return isUntouched ? "unclear" : "ours";
  return isUntouched ? "theirs" : "unclear";
}

/** After a way back: the jobs of the functions of before, some rows at a time; true once all have begun. */
export const resume = internalMutationGeneric({
  args: { table: v.union(v.literal("sidecarHeartbeats"), v.literal("deletedScenes")), cursor: v.union(v.string(), v.null()) },
  returns: v.object({ cursor: v.string(), isDone: v.boolean() }),
  handler: async (ctx: Ctx, { table, cursor }) => {
    const page = await ctx.db.query(table).paginate({ cursor, numItems: ROWS_PER_STEP });
    for (const row of page.page) {
      if (table === "deletedScenes") await start(ctx, 0, "deletion:purge", { sessionId: row["sessionId"], sceneId: row["sceneId"] });
      else await watchAgain(ctx, row);
    }
    return { cursor: page.continueCursor, isDone: page.isDone };
  },
});

async function watchAgain(ctx: Ctx, row: Record<string, Value | undefined>): Promise<void> {
  const producer = row["producer"];
  if (row["goneSince"] !== undefined) {
    await start(ctx, 0, "collection:collect", { producer });
    return;
  }
  await ctx.db.patch("sidecarHeartbeats", row["_id"] as never, { seenAt: Date.now() });
  await start(ctx, 15 * 60_000, "liveness:watch", { producer });
  await start(ctx, 0, "liveness:revive", { producer });
}

/** A version of before may not have this job. */
async function start(ctx: Ctx, delay: number, name: string, args: Record<string, Value | undefined>): Promise<void> {
  await ctx.scheduler
    .runAfter(delay, makeFunctionReference<"mutation">(`sidecarLib/${name}`), args)
    .catch((error: unknown) => { console.warn(`${name} was not started`, String(error)); });
}

async function requireHeld(ctx: Ctx, module: string): Promise<void> {
  try {
    await ctx.runQuery(makeFunctionReference<"query">(`${module}:pingInternal`), {});
  } catch (error) {
    if (error instanceof ConvexError && (error.data as { code?: unknown }).code === HELD) return;
    throw error;
  }
  refuse("NOT_HELD", "sidecars may still write: deploy the functions that hold them off first");
}

/** The state in which this step begins. */
async function begun(ctx: Ctx, to: Home): Promise<State> {
  const state = (await ctx.runQuery(migration.state, {})) ?? FIRST;
  if (state.home === to) return unmoved(state);
  if (state.phase !== "resting") return state;
  if (to === "component" && state === FIRST && !(await ctx.runQuery(migration.isEmpty, {}))) {
    refuse("NOT_EMPTY", "the component already holds rows of its own: nothing is moved over them");
  }
  return { ...RESTING, home: state.home, phase: "stopping" };
}

/** Nothing is to be moved. Where a way to the other side was given up, the component's jobs had been stopped. */
function unmoved(state: State): State {
  if (state.phase === "resting") return state;
  if (state.home === "application") return { ...RESTING, home: state.home };
  return state.phase === "starting" ? state : { ...first(state, "starting"), table: STARTED };
}

async function advance(ctx: Ctx, state: State, to: Home): Promise<State> {
  switch (state.phase) {
    case "stopping":
      return await stopJobs(ctx, state);
    case "clearing":
      return await clear(ctx, state);
    case "copying":
      return await copy(ctx, state);
    case "comparing":
      return await compare(ctx, state);
    case "starting":
      return await startJobs(ctx, state, to);
    case "resting":
      return state;
  }
}

/** Round after round, until one meets no job that has not ended: one that was running may have made another. */
async function stopJobs(ctx: Ctx, state: State): Promise<State> {
  const after = Number(state.from ?? "0");
  const round = await (state.home === "component" ? ctx.runMutation(migration.stopJobs, { after }) : stopOwnJobs(ctx, after));
  const found = state.found + round.found;
  if (!round.isDone) return { ...state, from: String(round.after), found };
  return found > 0 ? { ...state, from: null, found: 0 } : first(state, "clearing");
}

async function stopOwnJobs(ctx: Ctx, after: number) {
  const rows = await ctx.db.system
    .query("_scheduled_functions")
    .withIndex("by_creation_time", (q) => q.gt("_creationTime", after))
    .take(JOBS_PER_STEP);
  const open = rows.filter(
    ({ name, state: { kind } }) => name.startsWith("sidecarLib/") && (kind === "pending" || kind === "inProgress"),
  );
  for (const { _id } of open) await ctx.scheduler.cancel(_id);
  return { after: rows.at(-1)?._creationTime ?? after, found: open.length, isDone: rows.length < JOBS_PER_STEP };
}

async function clear(ctx: Ctx, state: State): Promise<State> {
  const table = tableOf(state);
  if (state.home === "application") {
    return (await ctx.runMutation(migration.clear, { table })) ? following(state, "copying") : state;
  }
  const rows = await ctx.db.query(table).take(ROWS_PER_STEP);
  for (const row of rows) await ctx.db.delete(table, row["_id"] as never);
  return rows.length < ROWS_PER_STEP ? following(state, "copying") : state;
}

async function copy(ctx: Ctx, state: State): Promise<State> {
  const table = tableOf(state);
  const { rows, cursor, isDone } = await read(ctx, state.home, { table, cursor: state.from });
  if (state.home === "application") await ctx.runMutation(migration.write, { table, rows });
  else for (const row of rows) await ctx.db.insert(table, JSON.parse(fitting(table, row)) as Record<string, Value>);
  const next = { ...state, from: cursor, rows: state.rows + rows.length };
  if (!isDone) return next;
  const isLast = state.table + 1 === MOVED.length; // what is made from now on may escape the comparison of its table
  return following({ ...next, found: isLast ? Date.now() - MUTATION_MS : 0 }, "comparing");
}

/** Every row against its copy, in the order in which both were made. */
async function compare(ctx: Ctx, state: State): Promise<State> {
  const table = tableOf(state);
  const other = state.home === "application" ? "component" : "application";
  const source = await read(ctx, state.home, { table, cursor: state.from });
  const most = source.rows.length + (source.isDone ? 1 : 0); // one more would be one too many
  const copied = await read(ctx, other, { table, cursor: state.to, most });
  const wanted = other === "component" ? source.rows : source.rows.map((row) => fitting(table, row));
  const isSame = wanted.length === copied.rows.length && wanted.every((row, i) => row === copied.rows[i]);
  if (!isSame) {
    console.warn(`${table} changed while it was copied: all is copied once more`);
    return first(state, "stopping");
  }
  const next = { ...state, from: source.cursor, to: copied.cursor, rows: state.rows + source.rows.length };
  return source.isDone ? following(next, "starting", STARTED) : next;
}

async function startJobs(ctx: Ctx, state: State, to: Home): Promise<State> {
  if (to === "application") return { ...RESTING, home: "application" }; // see resume
  const { cursor, isDone } = await ctx.runMutation(migration.startJobs, { table: tableOf(state), cursor: state.from });
  const next = { ...state, from: cursor };
  if (!isDone) return next;
  if (state.table + 1 < MOVED.length) return following(next, "starting");
  return { ...RESTING, home: "component", found: state.found, from: state.found > 0 ? "" : null };
}

async function read(ctx: Ctx, side: Home, { table, cursor, most = ROWS_PER_STEP }: Place): Promise<Page> {
  if (side === "component") return await ctx.runQuery(migration.read, { table, cursor, most });
  const found = await ctx.db.query(table).paginate({ cursor, numItems: most });
  return { rows: found.page.map((row) => canonical(row as never)), cursor: found.continueCursor, isDone: found.isDone };
}

/** On the way back: a row without what the table of before does not know. */
function fitting(table: string, row: string): string {
  const shape = (schema.tables as Record<string, { validator: unknown }>)[table]?.validator;
  return shape === undefined ? row : JSON.stringify(known(shape as Shape, JSON.parse(row)));
}

type Shape = {
  kind: string;
  isOptional: "optional" | "required";
  fields?: Record<string, Shape>;
  members?: Shape[];
  element?: Shape;
  value?: Shape | string | number;
};

function known(shape: Shape | undefined, value: unknown): unknown {
  if (shape === undefined || value === null || typeof value !== "object") return value;
  if (shape.kind === "union") return known(shape.members?.find((member) => isOf(member, value)), value);
  if (Array.isArray(value)) return value.map((item: unknown) => known(shape.element, item));
  const { kind, fields = {}, value: each } = shape;
  const entries = Object.entries(value).filter(([name]) => kind !== "object" || name in fields);
  const inner = (name: string) => (kind === "object" ? fields[name] : typeof each === "object" ? each : undefined);
  return Object.fromEntries(entries.map(([name, item]) => [name, known(inner(name), item)]));
}

function isOf({ kind, fields = {} }: Shape, value: object): boolean {
  if (Array.isArray(value)) return kind === "array";
  if (kind !== "object") return kind === "record";
  return Object.entries(fields).every(([name, { isOptional }]) => isOptional === "optional" || name in value);
}

const tableOf = ({ table }: State) => MOVED[table] ?? MOVED[0];
const first = ({ home }: State, phase: Phase): State => ({ ...RESTING, home, phase });

/** The next table of this phase, or the first one of the next. */
function following(state: State, next: Phase, table = 0): State {
  if (state.table + 1 === MOVED.length) return { ...first(state, next), table, found: state.found };
  return { ...state, table: state.table + 1, from: null, to: null };
}

function refuse(code: string, message: string): never {
  throw new ConvexError({ code, message, retryable: false });
}

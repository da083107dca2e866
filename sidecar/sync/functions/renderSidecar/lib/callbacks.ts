/**
 * Tells the application what its documents have become. A change writes a notice, in its own transaction, and
 * schedules the call: whatever the application's function does, the change stands, and the call is tried again until
 * it succeeds. It is called with the document as it is then, so one call may tell of many changes.
 */
import type { FunctionHandle } from "convex/server";
import { v, type Infer } from "convex/values";
import { internal } from "../_generated/api";
import type { Doc } from "../_generated/dataModel";
import { internalMutation, type MutationCtx, type QueryCtx } from "../_generated/server";
import { projectOf } from "./auth";
import { sceneRow, sessionRow } from "./rows";
import type { callbacks, Caller, EntityType } from "./shapes";
import { toScene, toSession } from "./views";

/** All writers of a session change its totals: their changes are told together. */
const GATHER_MS = { scene: 0, session: 1_000 };
const BACKOFF_MS = 10_000;
const BACKOFF_MAX_MS = 60 * 60_000;
const ERROR_CHARS_MAX = 1_000;
const TOLD_MAX = 200;
const SHOWN_MAX = 100;

type Entity = { sessionId: string; entityType: EntityType; entityId: string };

/** The application's functions, as its wrappers name them at every call; written where they are other ones. */
export async function rememberCallbacks(ctx: MutationCtx, given: Infer<typeof callbacks>): Promise<void> {
  await rememberCallback(ctx, "scene", given.onSceneChange);
  await rememberCallback(ctx, "session", given.onSessionChange);
}

async function rememberCallback(ctx: MutationCtx, of: EntityType, handle: string | undefined): Promise<void> {
  const known = await callbackOf(ctx, of);
  if (known?.handle === handle) return;
  if (known !== null) await ctx.db.delete("callbacks", known._id);
  if (handle !== undefined) await ctx.db.insert("callbacks", { entityType: of, handle });
}

/** To be called in the transaction of the change. Each producer has a notice of its own for a session: writers never meet. */
export async function notify(ctx: MutationCtx, entity: Entity, producer: string): Promise<void> {
  const { sessionId, entityType, entityId } = entity;
  if ((await callbackOf(ctx, entityType)) === null) return;
  const of = { sessionId, entityType, entityId, producer: entityType === "session" ? producer : "" };
  if ((await noticeOf(ctx, of)) !== null) return; // its call is still to come
  const projectId = (await projectOf(ctx, sessionId)) ?? "";
  const notice = await ctx.db.insert("notices", { ...of, projectId, attempts: 0, since: Date.now() });
  await attempt(ctx, notice, { attempts: 0, afterMs: GATHER_MS[entityType] });
}

/** A job is of one notice: of the next one for the same document it knows nothing. */
const noticeArgs = { notice: v.string() };

/** The next try is scheduled with this one: it finds nothing to do if this one succeeds, however this one fails. */
async function attempt(
  ctx: MutationCtx,
  notice: string,
  { attempts, afterMs }: { attempts: number; afterMs: number },
): Promise<void> {
  await ctx.scheduler.runAfter(afterMs, internal.lib.callbacks.call, { notice });
  const backoffMs = Math.min(BACKOFF_MAX_MS, BACKOFF_MS * 2 ** attempts);
  await ctx.scheduler.runAfter(afterMs + backoffMs, internal.lib.callbacks.again, { notice });
}

export const again = internalMutation({
  args: noticeArgs,
  returns: v.null(),
  handler: async (ctx, { notice }) => {
    const row = await noticeById(ctx, notice);
    if (row === null) return null;
    const error = row.error ?? "the call did not come to its end";
    const attempts = row.attempts + 1;
    await ctx.db.patch("notices", row._id, { attempts, error, failedAt: row.failedAt ?? Date.now() });
    await attempt(ctx, notice, { attempts, afterMs: 0 });
    return null;
  },
});

/** Whichever comes first tells of all notices of its document; the others find theirs gone. Of a failure one is left. */
export const call = internalMutation({
  args: noticeArgs,
  returns: v.null(),
  handler: async (ctx, { notice }) => {
    const row = await noticeById(ctx, notice);
    if (row === null) return null;
    const others = (await noticesOf(ctx, row)).filter(({ _id }) => _id !== row._id);
    const callback = await callbackOf(ctx, row.entityType);
    const error = callback === null ? null : await errorOf(ctx, callback.handle, row);
    const kept = others.find(({ failedAt }) => failedAt !== undefined) ?? row; // it is tried again already
    for (const { _id } of [row, ...others]) if (error === null || _id !== kept._id) await ctx.db.delete("notices", _id);
    if (error !== null) await ctx.db.patch("notices", kept._id, { error, failedAt: Date.now() });
    return null;
  },
});

/** At most 200; any more have calls of their own. */
async function noticesOf(ctx: MutationCtx, { sessionId, entityType, entityId }: Entity): Promise<Doc<"notices">[]> {
  return await ctx.db
    .query("notices")
    .withIndex("by_entity", (q) => q.eq("sessionId", sessionId).eq("entityType", entityType).eq("entityId", entityId))
    .take(TOLD_MAX);
}

/** Null once the application has taken it. What it wrote before it threw is rolled back. */
async function errorOf(ctx: MutationCtx, handle: string, notice: Entity): Promise<string | null> {
  const args = await argumentsOf(ctx, notice);
  try {
    await ctx.runMutation(handle as FunctionHandle<"mutation">, args);
    return null;
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    console.error(`the application's callback failed for ${notice.entityType} "${notice.entityId}": ${text}`);
    return text.slice(0, ERROR_CHARS_MAX);
  }
}

/** The whole current document; null for one that is not there any more. */
async function argumentsOf(ctx: MutationCtx, { sessionId, entityType, entityId }: Entity) {
  if (entityType === "scene") {
    const scene = await sceneRow(ctx, sessionId, entityId);
    return { sessionId, sceneId: entityId, scene: scene && toScene(scene) };
  }
  const session = await sessionRow(ctx, sessionId);
  return { sessionId, session: session && (await toSession(ctx, session)) };
}

/** Of the caller's projects, the oldest failure first, at most 100: those of others take nobody's place. */
export async function failedCallbacks(ctx: Pick<QueryCtx, "db">, { projects }: Caller) {
  const rows =
    projects === "all"
      ? await ctx.db.query("notices").withIndex("by_failure", (q) => q.gt("failedAt", 0)).take(SHOWN_MAX)
      : (await Promise.all([...new Set(projects)].map(async (projectId) => await failedOf(ctx, projectId)))).flat();
  const sorted = rows.map(toFailure).sort((one, other) => one.failedAt - other.failedAt);
  return sorted.slice(0, SHOWN_MAX);
}

async function failedOf(ctx: Pick<QueryCtx, "db">, projectId: string): Promise<Doc<"notices">[]> {
  return await ctx.db
    .query("notices")
    .withIndex("by_project_failure", (q) => q.eq("projectId", projectId).gt("failedAt", 0))
    .take(SHOWN_MAX);
}

function toFailure(row: Doc<"notices">) {
  const { sessionId, entityType, entityId, attempts, since, failedAt = since, error = "" } = row;
  return { sessionId, entityType, entityId, attempts, since, failedAt, error };
}

async function callbackOf(ctx: MutationCtx, of: EntityType): Promise<Doc<"callbacks"> | null> {
  return await ctx.db
    .query("callbacks")
    .withIndex("by_entity_type", (q) => q.eq("entityType", of))
    .unique();
}

async function noticeById(ctx: MutationCtx, notice: string): Promise<Doc<"notices"> | null> {
  const id = ctx.db.normalizeId("notices", notice);
  return id && (await ctx.db.get("notices", id));
}

async function noticeOf(ctx: MutationCtx, notice: Entity & { producer: string }): Promise<Doc<"notices"> | null> {
  const { sessionId, entityType, entityId, producer } = notice;
  return await ctx.db
    .query("notices")
    .withIndex("by_entity", (q) =>
      q.eq("sessionId", sessionId).eq("entityType", entityType).eq("entityId", entityId).eq("producer", producer),
    )
    .unique();
}

import {
  actionGeneric as action,
  anyApi,
  componentsGeneric,
  createFunctionHandle,
  internalMutationGeneric as internalMutation,
  mutationGeneric as mutation,
  queryGeneric as query,
} from "convex/server";
import { ConvexError, v } from "convex/values";

const { tally, second }: any = componentsGeneric();
const named = { name: v.string() };

export const increment = mutation({ args: named, handler: (ctx, args) => ctx.runMutation(tally.lib.increment, args) });
export const incrementSecond = mutation({
  args: named,
  handler: (ctx, args) => ctx.runMutation(second.lib.increment, args),
});
export const count = query({ args: named, handler: (ctx, args) => ctx.runQuery(tally.lib.count, args) });
export const countTwice = mutation({
  args: named,
  handler: async (ctx, args) => {
    await ctx.runMutation(tally.lib.increment, args);
    return await ctx.runQuery(tally.lib.count, args);
  },
});

export const incrementThenFail = mutation({
  args: named,
  handler: async (ctx, args) => {
    await ctx.runMutation(tally.lib.increment, args);
    await ctx.runMutation(tally.lib.incrementLater, args);
    throw new Error("the application fails");
  },
});

export const survive = mutation({
  args: named,
  handler: async (ctx, args) => {
    await ctx.db.insert("rows", args);
    return await ctx
      .runMutation(tally.lib.incrementAndFail, args)
      .catch((error: unknown) => (error instanceof ConvexError ? error.data : String(error)));
  },
});

export const incrementLater = mutation({
  args: named,
  handler: (ctx, args) => ctx.runMutation(tally.lib.incrementLater, args),
});
export const incrementInAMonth = mutation({
  args: named,
  handler: (ctx, args) => ctx.scheduler.runAfter(30 * 24 * 3_600_000, tally.lib.increment, args),
});
export const scheduleAndCancel = mutation({
  args: named,
  handler: async (ctx, args) => {
    const kept = await ctx.scheduler.runAfter(0, tally.lib.increment, args);
    const cancelled = await ctx.scheduler.runAfter(0, tally.lib.increment, args);
    await ctx.scheduler.cancel(cancelled);
    return kept;
  },
});

export const incrementAndTell = mutation({
  args: named,
  handler: async (ctx, { name }): Promise<void> => {
    const handle = await createFunctionHandle(anyApi.app.told as any);
    await ctx.runMutation(tally.lib.incrementAndTell, { name, handle });
  },
});
export const told = internalMutation({
  args: named,
  handler: async (ctx, { name }) => {
    const identity = await ctx.auth.getUserIdentity();
    await ctx.db.insert("told", { name, identity: identity?.subject ?? null });
    if (name.startsWith("bad")) throw new Error("the application does not want to know");
  },
});

export const whatIsSeen = query({
  args: {},
  handler: async (ctx) => ({
    identity: (await ctx.auth.getUserIdentity())?.subject ?? null,
    inside: await ctx.runQuery(tally.lib.whatIsSeen, {}),
    second: await ctx.runQuery(second.lib.whatIsSeen, {}),
  }),
});
export const page = query({ args: {}, handler: (ctx) => ctx.runQuery(tally.lib.page, {}) });
export const internal = mutation({ args: named, handler: (ctx, args) => ctx.runMutation(tally.lib.late, args) });

/** Reads in the component by an id of the application, as a string or as one of its own. */
export const cross = mutation({
  args: { own: v.boolean() },
  handler: async (ctx, { own }) => {
    const id = await ctx.db.insert("rows", { name: "of the application" });
    const theirs: string = await ctx.runMutation(tally.lib.increment, { name: "of the component" });
    return {
      inside: await ctx.runQuery(own ? tally.lib.readOwn : tally.lib.read, { id }),
      outside: await ctx.db.get(theirs as any),
      second: await ctx.runQuery(second.lib.read, { id: theirs }),
      home: (await ctx.runQuery(tally.lib.readOwn, { id: theirs })).name,
    };
  },
});
export const nested = mutation({ args: named, handler: (ctx, args) => ctx.runMutation(tally.lib.put, args) });
export const act = action({
  args: named,
  handler: async (ctx, args) => {
    await ctx.runMutation(tally.lib.increment, args);
    await ctx.runMutation(tally.lib.incrementAndFail, args).catch(() => null);
    await ctx.runMutation(tally.lib.incrementLater, { name: `${args.name}-later` });
    return await ctx.runQuery(tally.lib.count, args);
  },
});

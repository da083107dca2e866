import {
  anyApi,
  componentsGeneric,
  internalMutationGeneric as internalMutation,
  mutationGeneric as mutation,
  queryGeneric as query,
  type FunctionHandle,
} from "convex/server";
import { ConvexError, v } from "convex/values";

declare const process: { env: Record<string, string | undefined> };
const COLOUR_AT_IMPORT = process.env.COLOUR;
const inner: any = componentsGeneric().inner;

const add = async (ctx: any, name: string) => {
  const row = await ctx.db.query("rows").withIndex("by_name", (q: any) => q.eq("name", name)).first();
  if (row === null) return await ctx.db.insert("rows", { name, count: 1 });
  await ctx.db.patch(row._id, { count: row.count + 1 });
  return row._id;
};

export const increment = mutation({ args: { name: v.string() }, handler: (ctx, { name }) => add(ctx, name) });

export const incrementAndFail = mutation({
  args: { name: v.string() },
  handler: async (ctx, { name }) => {
    await add(ctx, name);
    await ctx.scheduler.runAfter(0, anyApi.lib.late, { name: `${name}-late` });
    throw new ConvexError("on purpose");
  },
});

export const late = internalMutation({ args: { name: v.string() }, handler: (ctx, { name }) => add(ctx, name) });

export const incrementLater = mutation({
  args: { name: v.string() },
  handler: (ctx, { name }) => ctx.scheduler.runAfter(0, anyApi.lib.late, { name }),
});

/** Tells the application later, by a handle that it gave. */
export const incrementAndTell = mutation({
  args: { name: v.string(), handle: v.string() },
  handler: async (ctx, { name, handle }) => {
    await add(ctx, name);
    await ctx.scheduler.runAfter(0, anyApi.lib.tell, { name, handle });
  },
});

export const tell = internalMutation({
  args: { name: v.string(), handle: v.string() },
  handler: async (ctx, { name, handle }) => {
    await add(ctx, name);
    await ctx.runMutation(handle as FunctionHandle<"mutation">, { name });
  },
});

export const count = query({
  args: { name: v.string() },
  handler: async (ctx, { name }) => {
    const row = await ctx.db.query("rows").withIndex("by_name", (q) => q.eq("name", name)).first();
    return row?.count ?? 0;
  },
});

export const whatIsSeen = query({
  args: {},
  handler: async (ctx) => ({
    identity: await ctx.auth.getUserIdentity(),
    colour: process.env.COLOUR ?? null,
    colourAtImport: COLOUR_AT_IMPORT ?? null,
    secret: process.env.SECRET ?? null,
    undeclared: process.env.TALLY_UNDECLARED ?? null,
    names: Object.keys(process.env).filter((name) => process.env[name] !== undefined).sort(),
  }),
});

export const page = query({
  args: {},
  handler: (ctx) => ctx.db.query("rows").paginate({ cursor: null, numItems: 10 }),
});

export const read = query({ args: { id: v.string() }, handler: (ctx, { id }) => ctx.db.get(id as any) });
export const readOwn = query({ args: { id: v.id("rows") }, handler: (ctx, { id }) => ctx.db.get(id) });
export const put = mutation({
  args: { name: v.string() },
  handler: (ctx, { name }) => ctx.runMutation(inner.lib.put, { name }),
});

import { mutationGeneric as mutation } from "convex/server";
import { v } from "convex/values";

export const put = mutation({
  args: { name: v.string() },
  handler: (ctx, { name }) => ctx.db.insert("rows", { name }),
});

import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

export default defineSchema({
  rows: defineTable({ name: v.string() }),
  told: defineTable({ name: v.string(), identity: v.union(v.string(), v.null()) }),
});

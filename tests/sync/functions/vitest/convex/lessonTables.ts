/** The tables of an application whose lessons follow the sidecar's scenes. */
import { defineTable } from "convex/server";
import { v } from "convex/values";
import { sceneAssetFields } from "./sidecar/fields";

export const lessonTables = {
  lessons: defineTable({ sceneId: v.string(), ...sceneAssetFields }).index("by_scene", ["sceneId"]),
  broken: defineTable({ message: v.string() }), // why they cannot follow
};

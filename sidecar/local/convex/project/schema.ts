/** The smallest schema that `sidecar convex install` asks for. */
import { defineSchema } from "convex/server";
import { sidecarTables } from "./sidecarTables";

export default defineSchema({
  ...sidecarTables,
});

/** An application without tables of its own: the sidecar's are its component's. */
import { defineSchema } from "convex/server";

export default defineSchema({});

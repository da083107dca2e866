import { defineSchema } from "convex/server";
import { lessonTables } from "./lessonTables";

export default defineSchema(lessonTables);

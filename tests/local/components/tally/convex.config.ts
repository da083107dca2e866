import { defineComponent } from "convex/server";
import { v } from "convex/values";
import inner from "./inner/convex.config";

const component = defineComponent("tally", { env: { COLOUR: v.string(), SECRET: v.optional(v.string()) } });
component.use(inner);
export default component;

import { defineApp } from "convex/server";
import { v } from "convex/values";
import tally from "./tally/convex.config.js";

const app = defineApp({ env: { TALLY_SECRET: v.optional(v.string()) } });
app.use(tally, { env: { COLOUR: "red", SECRET: app.env.TALLY_SECRET } });
app.use(tally, { name: "second", env: { COLOUR: "blue" } });
export default app;

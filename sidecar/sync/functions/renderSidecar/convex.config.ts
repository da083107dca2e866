/** The component: its tables are its own, and only your wrappers in `convex/sidecar` call its functions. */
import { defineComponent } from "convex/server";

export default defineComponent("renderSidecar");

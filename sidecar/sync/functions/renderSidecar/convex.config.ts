/**
 * The component: its tables are its own, and only your wrappers in `convex/sidecar` call its functions.
 *
 * Why a component (tried with convex 1.48): beside an application's own `scenes` and `videoSessions` it type-checks
 * without an error, functions over tables of fixed names gave 51. What it costs: identity, environment and ids stop at
 * its boundary, so the wrappers resolve who calls and what it may, and pass that; `.paginate()` is refused in it, so
 * pages have cursors over index keys; a callback that throws would roll its write back, so callbacks are scheduled;
 * Convex's codegen rewrites `_generated`, so only a stamp tells whose it is.
 */
import { defineComponent } from "convex/server";

export default defineComponent("renderSidecar");

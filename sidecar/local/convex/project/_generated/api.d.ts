/* eslint-disable */
/**
 * Generated `api` utility.
 *
 * THIS CODE IS AUTOMATICALLY GENERATED.
 *
 * To regenerate, run `npx convex dev`.
 * @module
 */

import type {
  ApiFromModules,
  FilterApi,
  FunctionReference,
} from "convex/server";
import type * as assets from "../assets.js";
import type * as scenes from "../scenes.js";
import type * as sessions from "../sessions.js";
import type * as sidecar from "../sidecar.js";
import type * as sidecarAccess from "../sidecarAccess.js";
import type * as sidecarLib_backfill from "../sidecarLib/backfill.js";
import type * as sidecarLib_collection from "../sidecarLib/collection.js";
import type * as sidecarLib_deletion from "../sidecarLib/deletion.js";
import type * as sidecarLib_liveness from "../sidecarLib/liveness.js";
import type * as sidecarLib_signable from "../sidecarLib/signable.js";

/**
 * A utility for referencing Convex functions in your app's API.
 *
 * Usage:
 * ```js
 * const myFunctionReference = api.myModule.myFunction;
 * ```
 */
declare const fullApi: ApiFromModules<{
  assets: typeof assets;
  scenes: typeof scenes;
  sessions: typeof sessions;
  sidecar: typeof sidecar;
  sidecarAccess: typeof sidecarAccess;
  "sidecarLib/backfill": typeof sidecarLib_backfill;
  "sidecarLib/collection": typeof sidecarLib_collection;
  "sidecarLib/deletion": typeof sidecarLib_deletion;
  "sidecarLib/liveness": typeof sidecarLib_liveness;
  "sidecarLib/signable": typeof sidecarLib_signable;
}>;
export declare const api: FilterApi<
  typeof fullApi,
  FunctionReference<any, "public">
>;
export declare const internal: FilterApi<
  typeof fullApi,
  FunctionReference<any, "internal">
>;

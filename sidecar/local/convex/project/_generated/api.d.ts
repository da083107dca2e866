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
import type * as sidecar_application from "../sidecar/application.js";
import type * as sidecar_assets from "../sidecar/assets.js";
import type * as sidecar_callbacks from "../sidecar/callbacks.js";
import type * as sidecar_callers from "../sidecar/callers.js";
import type * as sidecar_cloudfront from "../sidecar/cloudfront.js";
import type * as sidecar_component from "../sidecar/component.js";
import type * as sidecar_fields from "../sidecar/fields.js";
import type * as sidecar_objectPaths from "../sidecar/objectPaths.js";
import type * as sidecar_reading from "../sidecar/reading.js";
import type * as sidecar_rules from "../sidecar/rules.js";
import type * as sidecar_scenes from "../sidecar/scenes.js";
import type * as sidecar_sessions from "../sidecar/sessions.js";
import type * as sidecar_signable from "../sidecar/signable.js";
import type * as sidecar_sigv4 from "../sidecar/sigv4.js";
import type * as sidecar_urls from "../sidecar/urls.js";
import type * as sidecarAccess from "../sidecarAccess.js";

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
  "sidecar/application": typeof sidecar_application;
  "sidecar/assets": typeof sidecar_assets;
  "sidecar/callbacks": typeof sidecar_callbacks;
  "sidecar/callers": typeof sidecar_callers;
  "sidecar/cloudfront": typeof sidecar_cloudfront;
  "sidecar/component": typeof sidecar_component;
  "sidecar/fields": typeof sidecar_fields;
  "sidecar/objectPaths": typeof sidecar_objectPaths;
  "sidecar/reading": typeof sidecar_reading;
  "sidecar/rules": typeof sidecar_rules;
  "sidecar/scenes": typeof sidecar_scenes;
  "sidecar/sessions": typeof sidecar_sessions;
  "sidecar/signable": typeof sidecar_signable;
  "sidecar/sigv4": typeof sidecar_sigv4;
  "sidecar/urls": typeof sidecar_urls;
  sidecarAccess: typeof sidecarAccess;
}>;
export declare const api: FilterApi<
  typeof fullApi,
  FunctionReference<any, "public">
>;
export declare const internal: FilterApi<
  typeof fullApi,
  FunctionReference<any, "internal">
>;
